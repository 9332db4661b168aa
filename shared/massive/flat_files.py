"""The names of the vendor's flat files with the minute bars of a day, all symbols in one."""

from __future__ import annotations

from datetime import date
from typing import Final

BUCKET: Final = "flatfiles"
_ROOT: Final = "us_stocks_sip/minute_aggs_v1"
ENDING: Final = ".csv.gz"


def key_of(day: date) -> str:
    """Return the key of a day's file: ``us_stocks_sip/minute_aggs_v1/<YYYY>/<MM>/<YYYY-MM-DD>.csv.gz``."""
    return f"{_ROOT}/{day:%Y/%m}/{day.isoformat()}{ENDING}"


def day_of(key: str) -> date:
    """Return the day of a file's key.

    Raises:
        ValueError: it is not the key of a file with minute bars.
    """
    name = key.rpartition("/")[2]
    day = date.fromisoformat(name.removesuffix(ENDING))
    if key_of(day) != key:
        raise ValueError(f"expected the key of a day's minute bars, got {key!r}")
    return day
