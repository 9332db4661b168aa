"""Symbols in a CSV file."""

from __future__ import annotations

import pytest

from services.intake.errors import Unprocessable
from services.intake.symbols.csv_rows import symbols_in


def test_cells_are_named_by_the_first_line_and_empty_ones_are_left_out() -> None:
    content = '\ufeffSymbol, strategy ,description\r\nAAPL,flatpack,"Apple, Inc."\r\nBRK.B, stream ,\r\n'
    assert symbols_in(content.encode()) == [
        {"symbol": "AAPL", "strategy": "flatpack", "description": "Apple, Inc."},
        {"symbol": "BRK.B", "strategy": "stream"},
    ]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "columns"),
        (b"symbol\nAAPL\n", "columns"),
        (b"symbol,strategy\n", "rows"),
        (b"symbol,strategy\n" + 1001 * b"A,stream\n", "rows"),
        (b"symbol,strategy\n\xff,stream\n", "utf-8"),
        (b'symbol,strategy\n"' + b"A" * 200_000 + b'",stream\n', "csv"),
    ],
)
def test_what_is_no_list_of_symbols_is_refused(content: bytes, rule: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        symbols_in(content)
    assert caught.value.rule == rule
