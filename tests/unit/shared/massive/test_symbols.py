"""Which texts are symbols."""

from __future__ import annotations

import pytest

from shared.massive.symbols import check_symbol


@pytest.mark.parametrize(
    "symbol", ["A", "AAPL", "BRK.B", "BRK/B", "MTBpC.CL", "PTEST.X", "NFC.Uw", "ABCDEFGHIJ"]
)
def test_a_symbol_stays_as_the_vendor_writes_it(symbol: str) -> None:
    assert check_symbol(f" {symbol}\n") == symbol


@pytest.mark.parametrize(
    "text", ["", " ", "aapl", "9A", ".A", "A.", "A..B", "A./B", "A B", "A-B", "A*", "Ä", "A\n.B"]
)
def test_a_text_that_is_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a symbol"):
        check_symbol(text)


def test_a_symbol_has_at_most_ten_characters() -> None:
    with pytest.raises(ValueError, match="the symbol has 11 characters; at most 10 are allowed"):
        check_symbol("ABCDEFGHIJK")
