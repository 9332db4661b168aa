"""The messages of CHRONOX, against their golden JSON (never edited once released)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.bus.feeds.bar_messages import (
    Bars,
    ChronoxMessage,
    bars_message,
    decode,
    encode,
    encoded,
    snapshot_message,
)
from shared.errors import MalformedMessage
from shared.massive.bars import Bar, BarSource
from shared.massive.snapshots import DayBar, LastQuote, LastTrade, MarketSnapshot
from tests.support.repository import ROOT

RECEIVED = datetime(2025, 11, 14, 15, 0, 0, 250_000, tzinfo=UTC)
BARS = [
    Bar(1763130600000, 270.1, 271.0, 269.9, 270.5, 1200.5, 270.4, 31),
    Bar(1763130660000, 270.5, 270.5, 270.25, 270.25, 100.0),
]
SNAPSHOT = MarketSnapshot(
    symbol="BRK.B",
    updated_at_ns=1763132400123456789,
    minute=BARS[0],
    day=DayBar(270.0, 272.5, 269.0, 270.5, 1_000_000.5, 270.75),
    previous_day=DayBar(268.0, 270.0, 267.0, 269.5, 2_000_000.0),
    change=1.0,
    change_percent=0.371,
    trade=LastTrade(270.5, 100.0, 1763132400123456789),
    quote=LastQuote(270.49, 800.0, 270.51, 400.0, 1763132400123456788),
)
MESSAGES: dict[str, ChronoxMessage] = {
    "chronox.v1.bars": bars_message(Bars("BRK.B", BarSource.REST, BARS, adjusted=True), RECEIVED),
    "chronox.v1.snapshot": snapshot_message(SNAPSHOT, RECEIVED),
}
GOLDEN = ROOT / "tests" / "golden" / "v1"


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_and_its_golden_json_are_the_same(kind: str) -> None:
    golden = (GOLDEN / f"{kind}.json").read_bytes()
    assert decode("chronox.any", golden) == MESSAGES[kind]
    assert msgspec.json.decode(encode(MESSAGES[kind])) == msgspec.json.decode(golden)


def test_every_golden_message_of_bars_is_read() -> None:
    assert {path.stem for path in GOLDEN.glob("chronox.*.json")} == set(MESSAGES)


def test_the_subject_names_the_phase_and_the_symbol_as_one_token() -> None:
    assert [message.subject for message in MESSAGES.values()] == [
        "chronox.backfill.BRK-2EB",
        "chronox.snapshot.BRK-2EB",
    ]
    streamed = bars_message(Bars("AAPL", BarSource.STREAM, BARS[:1]), RECEIVED)
    assert encoded(streamed) == (streamed.id, "chronox.stream.AAPL", encode(streamed))


def test_only_the_same_minutes_with_the_same_content_received_at_the_same_time_have_the_same_id() -> None:
    first = bars_message(Bars("AAPL", BarSource.STREAM, BARS[:1]), RECEIVED)
    assert bars_message(first.payload, RECEIVED).id == first.id
    assert bars_message(first.payload, RECEIVED + timedelta(milliseconds=1)).id != first.id
    corrected = msgspec.structs.replace(BARS[0], volume=1300.0)
    assert bars_message(Bars("AAPL", BarSource.STREAM, [corrected]), RECEIVED).id != first.id


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1", b'{"type": "chronox.v2.bars"}', b"\xff\xfe", b'{"type": 3}', b"NaN"]
)
def test_anything_else_is_a_malformed_message(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"chronox\.stream\.AAPL"):
        decode("chronox.stream.AAPL", data)
