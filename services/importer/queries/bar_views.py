"""Minute bars as a view: the Parquet files of the trading days, and the rows that they lack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

BARS: Final = "ohlcv_1m"
RECENT: Final = "recent_bars"
"""The small table of rows that the Parquet files lack."""
_KEY: Final = "symbol, timestamp, adjusted"


def bars_query(columns: Iterable[str], recent: str, files: str | None) -> str:
    """Return the query of all minute bars.

    Args:
        columns: of the table.
        recent: the SQL that reads the rows that the files lack, or have since the last export only.
        files: the SQL that reads the files; None if there are none.
    """
    names = ", ".join(f'"{name}"' for name in columns)
    if files is None:
        return f"SELECT {names} FROM {recent}"  # noqa: S608 (names of ours)
    # Read once: the copy of the small table may be replaced during the query.
    return (
        f"WITH recent AS MATERIALIZED (FROM {recent}) "  # noqa: S608 (names of ours)
        f"SELECT {names} FROM {files} AS held ANTI JOIN recent USING ({_KEY}) "
        f"UNION ALL SELECT {names} FROM recent"
    )
