"""The vendor's flat files, a day's minute bars of all symbols in one: their names and their columns."""

from __future__ import annotations

from datetime import date
from typing import Final

BUCKET: Final = "flatfiles"
_ROOT: Final = "us_stocks_sip/minute_aggs_v1"
ENDING: Final = ".csv.gz"
REQUIRED_COLUMNS: Final = ("ticker", "open", "close", "high", "low", "window_start")
"""The columns without which a file cannot be read, in any order; those of indices lack the others."""


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


def columns_of(first_line: bytes) -> tuple[str, ...]:
    """Return the names in the first line of a file.

    Raises:
        ValueError: it lacks a column that is needed, or has one twice.
    """
    text = first_line.decode("utf-8-sig", "replace").strip()
    columns = tuple(column.strip().strip('"') for column in text.split(","))
    if missing := [column for column in REQUIRED_COLUMNS if column not in columns]:
        raise ValueError(f"its first line has no column {', '.join(missing)}: {text[:200]!r}")
    if len(set(columns)) < len(columns):
        raise ValueError(f"its first line has a column twice: {text[:200]!r}")
    return columns
