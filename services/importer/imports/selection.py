"""Read the records without their rows, hold them together, and decide which are kept and in which order.

They wait in a Parquet file in the scratch folder, so that a longer file takes no more memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from services.importer.errors import NoRecords
from services.importer.imports.task import ImportTask
from services.importer.lake.statements import quoted
from services.importer.reader.arrow_stream import RECORDS
from services.importer.reader.diagnosis import refusal_of
from shared.gexbot.trading_day import bounds_ms, trading_day_of

HEADS: Final = "heads"
"""The temporary view of the records that are kept."""

_KEPT: Final = "kept_heads"
"""The temporary table of their numbers and times, where not all are kept."""


@dataclass(frozen=True)
class Heads:
    """What the temporary view ``heads`` shows: one row a record that is kept.

    Args:
        trading_day: the day of all of them.
        records: how many are kept.
        duplicates: how many were dropped because an earlier one has the same timestamp.
        strays: how many were dropped because they are of another day.
        first_ms: the first timestamp.
        last_ms: the last one.
        unknown_fields: names in the file that the format does not know, sorted.
        unknown_records: how many records carry such a field.
        is_sorted: whether the file has the kept ones in the order of time.
    """

    trading_day: date
    records: int
    duplicates: int
    strays: int
    first_ms: int
    last_ms: int
    unknown_fields: tuple[str, ...]
    unknown_records: int
    is_sorted: bool
    kept: bytes | None
    """A byte for each record of the file, 0 if it was dropped; None if none was."""


def load_heads(connection: duckdb.DuckDBPyConnection, source: ImportTask, folder: Path) -> Heads:
    """Read the records and decide which are kept.

    Args:
        connection: one that has the staged tables.
        source: whose records.
        folder: where they are written.

    Raises:
        BadRecord: a record breaks a rule.
        NoRecords: there are none.
        duckdb.InvalidInputException: the file is not what the format says.
    """
    records = _copied(connection, folder)
    seen = _Survey(*_row(connection, _SURVEY))
    if seen.records == 0:
        raise NoRecords(source.file.name)
    day = source.day or _day_of(source, seen.first_record_ms)
    inside = _within(day)
    strays = _strays(connection, source, seen, inside)
    # Before any record goes: every name counts.
    names = _names(connection, source) if seen.with_others else ()
    is_sorted = not (strays or seen.is_mixed_up) or _rearrange(connection, records, inside)
    kept, first_ms, last_ms = _row(
        connection,
        f"SELECT count(*), min(timestamp_ms), max(timestamp_ms) FROM {HEADS}",  # noqa: S608
    )
    return Heads(
        trading_day=day,
        records=kept,
        duplicates=seen.records - strays - kept,
        strays=strays,
        first_ms=first_ms,
        last_ms=last_ms,
        unknown_fields=names,
        unknown_records=seen.with_others,
        is_sorted=is_sorted,
        kept=_flags(connection, seen.records) if kept < seen.records else None,
    )


def drop_heads(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove what ``load_heads`` has left, if it is there."""
    connection.execute(f"DROP VIEW IF EXISTS temp.{HEADS}")
    connection.execute(f"DROP TABLE IF EXISTS temp.{_KEPT}")


def _copied(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Write the records where they can be asked again, show them as heads, and return how they are read."""
    file = quoted(str(folder / "records.parquet"))
    connection.execute(f"COPY (FROM {RECORDS}) TO {file} (FORMAT parquet, COMPRESSION lz4)")
    records = f"read_parquet({file}, hive_partitioning = false)"
    connection.execute(f"CREATE TEMP VIEW {HEADS} AS FROM {records}")
    return records


@dataclass(frozen=True)
class _Survey:
    """What the heads are like at first sight."""

    records: int
    distinct: int
    steps_back: int
    first_record_ms: int
    with_others: int
    """How many have fields that the format does not know."""

    @property
    def is_mixed_up(self) -> bool:
        """Whether two have the same time, or an earlier one comes after a later one."""
        return self.distinct < self.records or self.steps_back > 0


_SURVEY: Final = f"""
    SELECT count(*), count(DISTINCT timestamp_ms),
        (SELECT count(*) FILTER (WHERE timestamp_ms < previous_ms)
         FROM (SELECT timestamp_ms, lag(timestamp_ms) OVER (ORDER BY number) AS previous_ms FROM {HEADS})),
        min_by(timestamp_ms, number), count(others)
    FROM {HEADS}
"""  # noqa: S608 (a constant)
"""The query whose columns are the fields of ``_Survey``."""


def _day_of(source: ImportTask, timestamp_ms: int) -> date:
    try:
        return trading_day_of(timestamp_ms)
    except (ValueError, OverflowError, OSError) as error:
        raise refusal_of(source, "the first timestamp is no time") from error


def _within(day: date) -> str:
    start, end = bounds_ms(day)
    return f"timestamp_ms >= {start} AND timestamp_ms < {end}"


def _strays(connection: duckdb.DuckDBPyConnection, source: ImportTask, seen: _Survey, inside: str) -> int:
    """Return how many records are of another day, if so many may be.

    Raises:
        BadRecord: they are too many, or all.
    """
    query = f"SELECT count(*) FILTER (WHERE NOT ({inside})) FROM {HEADS}"  # noqa: S608 (constants)
    strays = int(_row(connection, query)[0])
    if strays > source.max_strays or strays == seen.records:
        raise refusal_of(source, "a record is outside the trading day")
    return strays


def _names(connection: duckdb.DuckDBPyConnection, source: ImportTask) -> tuple[str, ...]:
    """Return the names that the format does not know; none may come twice in a record."""
    names, repeating = _row(
        connection,
        f"""
        SELECT list_sort(list_distinct(flatten(list(names)))),
            count(*) FILTER (WHERE len(names) > len(list_distinct(names)))
        FROM (
            SELECT from_json(others, '["VARCHAR"]') AS names
            FROM (SELECT DISTINCT others FROM {HEADS} WHERE others IS NOT NULL)
        )
        """,  # noqa: S608 (a constant)
    )
    if repeating:
        raise refusal_of(source, "a record has a name twice")
    return tuple(names)


def _rearrange(connection: duckdb.DuckDBPyConnection, records: str, inside: str) -> bool:
    """Let go of strays and of all but the first record of a timestamp.

    Return whether the file has the others in the order of time.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE {_KEPT} AS SELECT number, timestamp_ms FROM {HEADS} WHERE {inside}
        QUALIFY row_number() OVER (PARTITION BY timestamp_ms ORDER BY number) = 1
        """  # noqa: S608 (constants)
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {HEADS} AS FROM {records} SEMI JOIN {_KEPT} USING (number)"
    )
    order = f"SELECT number, lag(number) OVER (ORDER BY timestamp_ms) AS previous FROM {_KEPT}"  # noqa: S608
    (steps_back,) = _row(connection, f"SELECT count(*) FILTER (WHERE number < previous) FROM ({order})")  # noqa: S608
    return not steps_back


def _flags(connection: duckdb.DuckDBPyConnection, records: int) -> bytes:
    flags = bytearray(records)
    for (number,) in connection.execute(f"SELECT number FROM {_KEPT}").fetchall():  # noqa: S608 (a constant)
        flags[number - 1] = 1
    return bytes(flags)


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
