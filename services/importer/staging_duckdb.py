"""Read a staged file into a temporary table, and check it there."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from services.importer.diagnosis_json import find_fault, open_text
from services.importer.errors import NoRecords, UnreadableFile
from services.importer.history_format import (
    INTEGERS,
    JSON_COLUMNS,
    MAX_RECORD_BYTES,
    OPTIONAL_NUMBERS,
    REQUIRED_NUMBERS,
)
from services.importer.statements_duckdb import Interruption, quoted
from shared.errors import Terminal
from shared.trading_day import bounds_ms, trading_day_of

TABLE: Final = "staged"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Staged:
    """What the temporary table holds: one row a snapshot, in the order of time."""

    trading_day: date
    snapshots: int
    duplicates: int
    """Records dropped because an earlier one had the same timestamp."""
    first_ms: int
    last_ms: int


@contextmanager
def staged_records(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    ticker: str,
    day: date | None,
    interruption: Interruption,
) -> Iterator[Staged]:
    """Read a file into the temporary table ``staged`` for as long as the context lasts.

    Args:
        connection: where.
        path: the staged file: an array or one record a line, plain or gzip.
        ticker: what every record must be of.
        day: the trading day that every record must lie in; None: that of the first record.
        interruption: by which the work may be ended from outside.

    Raises:
        BadRecord: a record breaks a rule; it names the record and the field.
        UnreadableFile: the file is no JSON of that form.
    """
    try:
        _check_gzip(path, interruption)
        _read(connection, path)
        yield _checked(connection, path, ticker, day, interruption)
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise refusal_of(path, ticker, day, interruption, error) from error
    except duckdb.IOException as error:
        if "GZIP" in str(error).upper():
            raise refusal_of(path, ticker, day, interruption, error) from error
        raise
    finally:
        _drop(connection)


def _check_gzip(path: Path, interruption: Interruption) -> None:
    """Unpack a packed file once for its checksum, which DuckDB does not look at."""
    if path.suffix != ".gz":
        return
    try:
        with gzip.open(path) as file:
            while file.read(_CHUNK_BYTES):
                interruption.check()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(path.name, f"its gzip data is cut off or damaged ({error})") from error


def _read(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    columns = ", ".join(f"{name}: {quoted(kind)}" for name, kind in JSON_COLUMNS.items())
    connection.execute(
        f"""
        CREATE TEMP TABLE {TABLE} AS
        SELECT *, TRY_CAST(round(TRY_CAST(timestamp AS DOUBLE) * 1000) AS BIGINT) AS timestamp_ms
        FROM read_json({quoted(str(path))}, auto_detect = false, format = {quoted(_form(path))},
            compression = {quoted("gzip" if path.suffix == ".gz" else "none")},
            maximum_object_size = {MAX_RECORD_BYTES}, columns = {{{columns}}})
        """  # noqa: S608 (quoted here)
    )


def _form(path: Path) -> str:
    """Tell from the first character whether the file is an array or has one record a line."""
    try:
        with open_text(path) as file:
            first = file.read(4096).lstrip()[:1]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(path.name, f"its gzip data is damaged ({error})") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(path.name, "it is not UTF-8 text") from error
    return "newline_delimited" if first == "{" else "array"


def _checked(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    ticker: str,
    day: date | None,
    interruption: Interruption,
) -> Staged:
    records, faults, distinct, disorder, first_record_ms = _one_row(connection, _survey(ticker))
    if records == 0:
        raise find_fault(path, ticker, day, interruption) or NoRecords(path.name)
    if faults:
        raise refusal_of(path, ticker, day, interruption)
    try:
        day = day or trading_day_of(first_record_ms)
    except (ValueError, OverflowError, OSError) as error:
        raise refusal_of(path, ticker, day, interruption) from error
    if distinct < records or disorder:
        _sort_and_drop_duplicates(connection)
    first_ms, last_ms = _one_row(connection, f"SELECT min(timestamp_ms), max(timestamp_ms) FROM {TABLE}")  # noqa: S608
    start, end = bounds_ms(day)
    if not start <= first_ms <= last_ms < end:
        raise refusal_of(path, ticker, day, interruption)
    return Staged(day, distinct, records - distinct, first_ms, last_ms)


def _survey(ticker: str) -> str:
    """Return the query that counts records, faults, distinct timestamps and steps back in time."""
    faults = " OR ".join(
        [
            *(f"NOT {_is_number(name)}" for name in REQUIRED_NUMBERS),
            *(f"({name} IS NOT NULL AND NOT {_is_number(name)})" for name in OPTIONAL_NUMBERS),
            *(f"({name} IS NOT NULL AND NOT {_is_integer(name)})" for name in INTEGERS),
            f"upper(ticker ->> '$') IS DISTINCT FROM {quoted(ticker)}",
            "json_type(ticker) IS DISTINCT FROM 'VARCHAR'",
            "timestamp_ms IS NULL",
        ]
    )
    return f"""
        SELECT count(*), count(*) FILTER (WHERE {faults}), count(DISTINCT timestamp_ms),
            count(*) FILTER (WHERE timestamp_ms < previous_ms), first(timestamp_ms ORDER BY number)
        FROM (SELECT *, rowid AS number, lag(timestamp_ms) OVER (ORDER BY rowid) AS previous_ms FROM {TABLE})
    """  # noqa: S608 (the only value is quoted)


def _is_number(name: str) -> str:
    kinds = "'BIGINT', 'UBIGINT', 'DOUBLE'"
    return f"coalesce(json_type({name}) IN ({kinds}) AND isfinite(TRY_CAST({name} AS DOUBLE)), false)"


def _is_integer(name: str) -> str:
    value = f"TRY_CAST({name} AS DOUBLE)"
    return f"({_is_number(name)} AND {value} = trunc({value}) AND TRY_CAST({name} AS INTEGER) IS NOT NULL)"


def _sort_and_drop_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Put the table in the order of time; of records with the same timestamp the first wins."""
    connection.execute(
        f"""
        CREATE TEMP TABLE sorted AS SELECT * FROM {TABLE}
        QUALIFY row_number() OVER (PARTITION BY timestamp_ms ORDER BY rowid) = 1 ORDER BY timestamp_ms
        """  # noqa: S608 (constants)
    )
    connection.execute(f"DROP TABLE {TABLE}")
    connection.execute(f"ALTER TABLE sorted RENAME TO {TABLE}")


def refusal_of(
    path: Path, ticker: str, day: date | None, interruption: Interruption, error: duckdb.Error | None = None
) -> Terminal:
    """Return the error that names what is wrong with a staged file that DuckDB found fault with."""
    said = str(error).splitlines()[0].replace(str(path), path.name) if error else "a record breaks a rule"
    return find_fault(path, ticker, day, interruption) or UnreadableFile(path.name, said)


def _one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    return tuple(row) if row else ()


def _drop(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute(f"DROP TABLE IF EXISTS temp.{TABLE}")
    except duckdb.Error:
        return  # the transaction is aborted: the table goes with it
