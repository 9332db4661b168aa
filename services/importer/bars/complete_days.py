"""The table ``complete_bar_days``: the days of a symbol for which the vendor has answered.

The Parquet file of a trading day has the answers for it in its footer, so that they outlive the database. A
day without a bar of any symbol has no file: after the loss of the database it is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import msgspec

from services.importer.feeds.columns import registered
from services.importer.lake.statements import quoted

MAX_DAYS: Final = 366
"""Days of one answer."""
METADATA_KEY: Final = "gexlake.complete_symbols"
"""In the footer of a day's Parquet file: JSON, a list of objects."""
_TYPES: Final = {
    "symbol": "VARCHAR",
    "source": "VARCHAR",
    "answered_at": "TIMESTAMP WITH TIME ZONE",
    "first": "DATE",
    "last": "DATE",
}
# The exchange never trades on a Saturday or Sunday: these take no rows.
_DAYS_OF_ANSWERS: Final = """
CREATE OR REPLACE TEMP TABLE answered_days AS
WITH every AS (
    SELECT symbol, source, answered_at,
        unnest(generate_series("first", "last", INTERVAL 1 DAY))::DATE AS trading_day
    FROM answers
)
SELECT symbol, trading_day, arg_max(source, answered_at) AS source, max(answered_at) AS answered_at
FROM every WHERE isodow(trading_day) < 6 GROUP BY symbol, trading_day
"""
_UPDATE: Final = """
UPDATE complete_bar_days AS held SET source = new.source, answered_at = new.answered_at
FROM answered_days AS new
WHERE held.symbol = new.symbol AND held.trading_day = new.trading_day AND held.answered_at < new.answered_at
"""
_INSERT: Final = """
INSERT INTO complete_bar_days BY NAME
FROM answered_days ANTI JOIN complete_bar_days USING (symbol, trading_day)
"""


class CompleteDays(NamedTuple):
    """An answer of the vendor: days of a symbol of which the lake has all bars with this transaction."""

    symbol: str
    source: str
    answered_at: datetime
    first: date
    last: date
    """Included."""


class _OfFile(msgspec.Struct, frozen=True):
    """The symbols of one answer, in the footer of a day's file."""

    source: str
    answered_at: datetime
    symbols: list[str]


def write(connection: duckdb.DuckDBPyConnection, answers: Iterable[CompleteDays], number: int) -> None:
    """Write answers; call it in the transaction of their bars, after these.

    Args:
        connection: with an open transaction.
        answers: of several for a day of a symbol, the latest is kept.
        number: of the batch; the files of these days are written again.
    """
    rows = list(answers)
    if not rows:
        return
    with registered(connection, "answers", _TYPES, list(zip(*rows, strict=True))):
        connection.execute(_DAYS_OF_ANSWERS)
    connection.execute(_UPDATE)
    connection.execute(_INSERT)
    connection.execute(
        "UPDATE bar_days SET last_sequence = ? WHERE trading_day IN (SELECT trading_day FROM answered_days)",
        [number],
    )


def metadata(connection: duckdb.DuckDBPyConnection, day: date) -> dict[str, str]:
    """Return what the footer of a day's Parquet file has of the answers for it."""
    found = connection.execute(
        "SELECT source, answered_at, list(symbol ORDER BY symbol) FROM complete_bar_days "
        "WHERE trading_day = ? GROUP BY ALL ORDER BY ALL",
        [day],
    ).fetchall()
    return {METADATA_KEY: msgspec.json.encode([_OfFile(*row) for row in found]).decode()}


def load(connection: duckdb.DuckDBPyConnection, day: date, parquet: Path) -> None:
    """Read the answers for a day from the footer of its Parquet file; call it within a transaction."""
    found = connection.execute(
        f"SELECT value FROM parquet_kv_metadata({quoted(str(parquet))}) WHERE key = ?::BLOB",  # noqa: S608 (quoted)
        [METADATA_KEY],
    ).fetchall()
    # A file of an earlier version has none.
    answers = [each for (content,) in found for each in msgspec.json.decode(content, type=list[_OfFile])]
    rows = (
        CompleteDays(name, each.source, each.answered_at, day, day)
        for each in answers
        for name in each.symbols
    )
    write(connection, rows, 0)
