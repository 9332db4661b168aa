"""Read the rows of a flat file into a temporary table, and check them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from services.importer.errors import BadFlatFile, NoRecords, UnreadableFile
from services.importer.flat_files.content import TYPES, CsvText
from services.importer.lake.statements import quoted
from shared.gexbot.trading_day import bounds_ms
from shared.massive.bars import MINUTE_MS
from shared.massive.symbols import check_symbol

STAGED: Final = "staged_bars"
"""The temporary view of the rows that are correct, sorted by symbol and time, each minute once."""
_READ: Final = "read_bars"
"""The temporary table of all rows that could be read."""
_NS: Final = 1_000_000
_MAX_ERRORS: Final = 1000
_OPTIONAL: Final = {"volume": "0::DOUBLE", "vwap": "NULL::DOUBLE", "transactions": "NULL::BIGINT"}


@dataclass(frozen=True)
class Staged:
    """What a flat file holds.

    Args:
        rows: of the file.
        rejected: how many of them are not correct bars.
        duplicates: how many correct ones were dropped for another row of the same minute.
        reasons: why rows were rejected, each with an example; the most frequent first.
    """

    rows: int
    rejected: int
    duplicates: int
    reasons: tuple[str, ...]


def stage(
    connection: duckdb.DuckDBPyConnection, name: str, text: CsvText, day: date, max_rejected: float
) -> Staged:
    """Read and check the rows of a flat file; ``STAGED`` has the correct ones.

    Args:
        connection: gets the temporary tables.
        name: the staged file's name.
        text: its content.
        day: the trading day of its rows.
        max_rejected: the share of rows that may be incorrect.

    Raises:
        NoRecords: it has none.
        UnreadableFile: it cannot be read as CSV.
        BadFlatFile: more rows than allowed are incorrect.
    """
    try:
        _read(connection, text)
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise UnreadableFile(
            name, f"it is not the CSV of a flat file: {str(error).splitlines()[0]}"
        ) from error
    fine = _fine_expression(connection, day)
    read, fine_rows, steps_back = _row(
        connection,
        f"""
        SELECT count(*), count(*) FILTER (is_fine), count(*) FILTER (
            is_fine AND (previous > symbol OR (previous = symbol AND previous_ns >= ns)))
        FROM (SELECT symbol, ns, {fine} AS is_fine, lag(symbol) OVER () AS previous,
            lag(ns) OVER () AS previous_ns FROM {_READ})
        """,  # noqa: S608 (constants)
    )
    rows = max(text.lines, read)
    if rows == 0:
        raise NoRecords(name)
    rejected = rows - fine_rows
    reasons = _reasons(connection, day, fine, rejected) if rejected else ()
    if rejected > max_rejected * rows:
        raise BadFlatFile(name, rejected, rows, reasons, max_rejected)
    bar = f"symbol, ns // {_NS} AS timestamp, open, high, low, close, volume, vwap, trades"
    if rejected == 0 and steps_back == 0:
        connection.execute(f"CREATE TEMP VIEW {STAGED} AS SELECT {bar} FROM {_READ}")  # noqa: S608 (constants)
        return Staged(rows, 0, 0, ())
    # The vendor's files have had second rows of a minute, with a volume of 0.
    connection.execute(
        f"""
        CREATE TEMP TABLE {STAGED} AS SELECT {bar} FROM {_READ} WHERE {fine}
        QUALIFY row_number() OVER (PARTITION BY symbol, ns ORDER BY volume > 0 DESC, rowid DESC) = 1
        ORDER BY symbol, ns
        """  # noqa: S608 (constants)
    )
    (kept,) = _row(connection, f"SELECT count(*) FROM {STAGED}")  # noqa: S608 (a constant)
    return Staged(rows, rejected, fine_rows - kept, reasons)


def _read(connection: duckdb.DuckDBPyConnection, text: CsvText) -> None:
    types = ", ".join(f"{quoted(name)}: {quoted(TYPES.get(name, 'VARCHAR'))}" for name in text.columns)
    source = (
        f"read_csv({quoted(str(text.path))}, auto_detect = false, header = true, columns = {{{types}}}, "
        f"delim = ',', quote = {quoted(text.quote)}, escape = {quoted(text.quote)}, "
        f"new_line = {quoted(text.new_line)}, nullstr = '', store_rejects = true, "
        f"rejects_limit = {_MAX_ERRORS})"
    )
    volume, vwap, trades = (name if name in text.columns else instead for name, instead in _OPTIONAL.items())
    connection.execute(
        f"CREATE TEMP TABLE {_READ} AS SELECT ticker AS symbol, window_start AS ns, open, high, low, close, "  # noqa: S608 (quoted)
        f"{volume} AS volume, {vwap} AS vwap, {trades} AS trades FROM {source}"
    )


def _fine_expression(connection: duckdb.DuckDBPyConnection, day: date) -> str:
    """Return the SQL of whether a row of the table is a correct bar, as ``shared.massive.bars`` has it."""
    start, end = (bound * _NS for bound in bounds_ms(day))
    names = connection.execute(f"SELECT DISTINCT symbol FROM {_READ} WHERE symbol IS NOT NULL").fetchall()  # noqa: S608
    wrong = ", ".join(quoted(name) for (name,) in names if not _is_symbol(name))
    rules = [
        "low > 0 AND low <= open AND open <= high AND low <= close AND close <= high AND high < 'inf'",
        "volume >= 0 AND volume < 'inf' AND coalesce(isfinite(vwap), true) AND coalesce(trades, 0) >= 0",
        f"ns >= {start} AND ns < {end} AND ns % {MINUTE_MS * _NS} = 0",
        f"symbol NOT IN ({wrong})" if wrong else "symbol IS NOT NULL",
    ]
    return f"coalesce({' AND '.join(rules)}, false)"


def _is_symbol(name: str) -> bool:
    try:
        return check_symbol(name) == name
    except ValueError:
        return False


def _reasons(connection: duckdb.DuckDBPyConnection, day: date, fine: str, rejected: int) -> tuple[str, ...]:
    """Return why rows were rejected, with an example each; the most frequent first."""
    start, end = (bound * _NS for bound in bounds_ms(day))
    found = connection.execute(
        f"""
        SELECT reason, count(*), any_value(example) FROM (
            SELECT CASE
                WHEN ns IS NULL THEN 'window_start is missing'
                WHEN ns < {start} OR ns >= {end} THEN 'window_start is not within {day} in New York'
                WHEN ns % {MINUTE_MS * _NS} <> 0 THEN 'window_start is not the start of a minute'
                WHEN NOT coalesce(low > 0 AND high < 'inf' AND open > 0 AND close > 0, false)
                    THEN 'a price is missing or not above 0'
                WHEN NOT coalesce(low <= least(open, close) AND high >= greatest(open, close), false)
                    THEN 'open or close is not between low and high'
                WHEN NOT coalesce(volume >= 0 AND volume < 'inf', false) THEN 'volume is missing or below 0'
                WHEN NOT coalesce(isfinite(vwap), true) THEN 'vwap is no price'
                WHEN trades < 0 THEN 'transactions are below 0'
                ELSE 'ticker is no symbol' END AS reason,
                concat_ws(' ', symbol, ns, open, high, low, close, volume) AS example
            FROM {_READ} WHERE NOT ({fine}))
        GROUP BY reason
        UNION ALL
        SELECT concat_ws(' ', column_name, lower(error_type::VARCHAR)), count(DISTINCT line),
            any_value(left(csv_line, 200))
        FROM reject_errors GROUP BY ALL
        ORDER BY 2 DESC, 1
        """  # noqa: S608 (constants)
    ).fetchall()
    return tuple(f"{reason} ({count}, such as {example!r})" for reason, count, example in found) or (
        f"{rejected} lines could not be read",
    )


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
