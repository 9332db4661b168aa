"""Symbols as the vendor writes them: ``AAPL``, ``BRK.B``, ``MTBpC``."""

from __future__ import annotations

import re
from typing import Final

MAX_SYMBOL_LENGTH: Final = 10
_SYMBOL: Final = re.compile(r"[A-Z][A-Za-z0-9]*(?:[./][A-Za-z0-9]+)*")


def check_symbol(text: str) -> str:
    """Return ``text`` as a symbol, without surrounding blanks.

    Case is kept, because it distinguishes symbols: ``MTBpC`` is a preferred share of ``MTB``.

    Raises:
        ValueError: it is empty, over 10 characters, or not written as the vendor writes symbols.
    """
    symbol = text.strip()
    if len(symbol) > MAX_SYMBOL_LENGTH:
        raise ValueError(f"the symbol has {len(symbol)} characters; at most {MAX_SYMBOL_LENGTH} are allowed")
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(
            f"{text!r} is not a symbol: it begins with an upper-case letter, followed by letters and digits, "
            "with single dots or slashes between them, such as BRK.B"
        )
    return symbol
