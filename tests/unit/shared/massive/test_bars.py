"""What a correct bar is."""

from __future__ import annotations

import math

import msgspec
import pytest

from shared.massive.bars import Bar, BarSource, fault_of

BAR = Bar(1_763_130_600_000, 270.1, 271.0, 269.9, 270.5, 1200.5, 270.4, 31)


def test_a_correct_bar_has_no_fault() -> None:
    assert fault_of(BAR) is None
    assert fault_of(Bar(1_763_130_600_000, 1.0, 1.0, 1.0, 1.0, 0)) is None


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        (
            "timestamp",
            1_763_130_600,
            "timestamp: 1763130600 is no time between 2000 and 2100 in milliseconds",
        ),
        ("timestamp", 1_763_130_600_000_000_000, "is no time between 2000 and 2100 in milliseconds"),
        ("timestamp", 1_763_130_601_000, "timestamp: 1763130601000 is not the start of a minute"),
        ("open", math.nan, "open: nan is no price above 0"),
        ("close", 0.0, "close: 0.0 is no price above 0"),
        ("low", -1.0, "low: -1.0 is no price above 0"),
        ("high", math.inf, "high: inf is no price above 0"),
        ("open", 271.01, "open: 271.01 is not between the low 269.9 and the high 271.0"),
        ("close", 269.8, "close: 269.8 is not between the low 269.9 and the high 271.0"),
        ("volume", -0.5, "volume: -0.5 is no number of shares"),
        ("volume", math.nan, "volume: nan is no number of shares"),
        ("vwap", math.inf, "vwap: inf is no price"),
        ("trades", -1, "trades: -1 is below 0"),
        ("trades", 2**63, "trades: over 64 bits"),
    ],
)
def test_a_fault_names_the_field_and_its_value(field: str, value: float, fault: str) -> None:
    assert fault in str(fault_of(msgspec.structs.replace(BAR, **{field: value})))


def test_history_outranks_the_stream() -> None:
    assert BarSource.STREAM.rank < BarSource.REST.rank == BarSource.FLAT_FILE.rank
