"""Option symbols of the Options Clearing Corporation (OCC): ``ARM260116C00118000``.

Root of one to six characters, expiration as YYMMDD, ``C`` or ``P``, strike times 1,000 in eight digits. Some
senders pad the root with blanks to six characters, some do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

OptionType = Literal["call", "put"]

_SYMBOL: Final = re.compile(
    r"(?P<root>[A-Z0-9][A-Z0-9.]{0,5}) {0,5}"
    r"(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})(?P<type>[CP])(?P<strike>[0-9]{8})"
)
_CENTURY: Final = 2000
_STRIKE_UNIT: Final = 1000
_TYPES: Final[dict[str, OptionType]] = {"C": "call", "P": "put"}


@dataclass(frozen=True)
class OptionSymbol:
    """An option symbol, taken apart.

    Args:
        root: the symbol of the class, which is mostly that of the underlying; ``SPXW``, ``BRKB``, ``AAPL1``.
        expiry: the date of expiration, 2000 to 2099.
        type: ``call`` or ``put``.
        strike: in dollars or points, to the thousandth.
    """

    root: str
    expiry: date
    type: OptionType
    strike: float

    def __str__(self) -> str:
        """Return the symbol without padding."""
        strike = round(self.strike * _STRIKE_UNIT)
        return f"{self.root}{self.expiry:%y%m%d}{self.type[0].upper()}{strike:08}"


def parse_option_symbol(text: str) -> OptionSymbol:
    """Parse an option symbol, with or without padding, in any case.

    Raises:
        ValueError: it is none; the message says why.
    """
    found = _SYMBOL.fullmatch(text.strip().upper())
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is no option symbol: root, YYMMDD, C or P, eight digits are expected"
        )
    year, month, day = (int(found[part]) for part in ("year", "month", "day"))
    return OptionSymbol(
        root=found["root"],
        expiry=date(_CENTURY + year, month, day),
        type=_TYPES[found["type"]],
        strike=int(found["strike"]) / _STRIKE_UNIT,
    )
