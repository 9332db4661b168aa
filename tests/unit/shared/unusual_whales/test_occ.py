"""Option symbols of the OCC."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.unusual_whales.occ import OptionSymbol, parse_option_symbol

symbols = st.builds(
    OptionSymbol,
    root=st.text("ABXZ019.", min_size=1, max_size=6).filter(lambda root: root[0] != "."),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    type=st.sampled_from(["call", "put"]),
    strike=st.integers(0, 99_999_999).map(lambda thousandths: thousandths / 1000),
)


@pytest.mark.parametrize(
    ("text", "root", "expiry", "kind", "strike"),
    [
        ("ARM260116C00118000", "ARM", date(2026, 1, 16), "call", 118.0),
        ("SPXW  251114P06750000", "SPXW", date(2025, 11, 14), "put", 6750.0),
        ("BRK.B 260320C00512500", "BRK.B", date(2026, 3, 20), "call", 512.5),
        ("AAPL1 260116C00000125", "AAPL1", date(2026, 1, 16), "call", 0.125),
        ("4SPX240229P05000000", "4SPX", date(2024, 2, 29), "put", 5000.0),
        (" arm260116c00118000 ", "ARM", date(2026, 1, 16), "call", 118.0),
    ],
)
def test_a_symbol_is_taken_apart(text: str, root: str, expiry: date, kind: str, strike: float) -> None:
    symbol = parse_option_symbol(text)
    assert (symbol.root, symbol.expiry, symbol.type, symbol.strike) == (root, expiry, kind, strike)


@given(symbol=symbols, padding=st.integers(0, 5))
def test_a_symbol_is_read_as_it_was_written_padded_or_not(symbol: OptionSymbol, padding: int) -> None:
    text = str(symbol)
    assert parse_option_symbol(text) == symbol
    assert parse_option_symbol(f"{text[:-15]}{' ' * padding}{text[-15:]}") == symbol


@given(text=st.text() | st.from_regex(r"[A-Z. ]{0,8}[0-9]{5,7}[CPX][0-9]{7,9}", fullmatch=True))
def test_any_other_text_is_refused_by_a_value_error(text: str) -> None:
    try:
        symbol = parse_option_symbol(text)
    except ValueError:
        return
    assert str(symbol) == text.upper().replace(" ", "").strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ARM",
        "260116C00118000",
        "ARM260230C00118000",
        "ARM260116X00118000",
        "ARM260116C0011800",
        "TOOLONG260116C00118000",
        "ARM٢٦0116C00118000",
        "A M260116C00118000",
    ],
)
def test_what_is_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"option symbol|day is out of range"):
        parse_option_symbol(text)
