"""Select which records of a staged file are kept, and in which order, and return the queries of their rows.

The records without their rows wait in a Parquet file in the scratch folder, so that a longer file takes no
more memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from services.importer.errors import BadRecord, NoRecords
from services.importer.imports.task import ImportTask
from services.importer.lake.statements import quoted
from services.importer.reader.arrow_stream import RECORDS, ROWS
from services.importer.reader.record_rules import fault_of_day, fault_of_first_time, fault_of_twice
from shared.gexbot.trading_day import bounds_ms, trading_day_of

SELECTED: Final = "selected_records"
"""The temporary view of the records that are kept."""

_KEPT: Final = "kept_records"
"""The temporary table of their numbers and times, if not all are kept."""


@dataclass(frozen=True)
class Selection:
    """The records in the temporary view ``selected_records``.

    Args:
        trading_day: the day of all of them.
        records: how many are kept.
        duplicates: how many were dropped because an earlier one has the same timestamp.
        out_of_day: how many were dropped because they are of another day.
        first_ms: the first timestamp.
        last_ms: the last one.
        unknown_fields: names in the file that the format does not know, sorted.
        unknown_records: how many records have such a field.
        is_sorted: whether the file has the kept ones in the order of time.
        kept: a byte for each record of the file, 0 if it was dropped; None if none was.
    """

    trading_day: date
    records: int
    duplicates: int
    out_of_day: int
    first_ms: int
    last_ms: int
    unknown_fields: tuple[str, ...]
    unknown_records: int
    is_sorted: bool
    kept: bytes | None


def select_records(connection: duckdb.DuckDBPyConnection, task: ImportTask, folder: Path) -> Selection:
    """Read the records, check them together, and select those that are kept.

    Args:
        connection: has the staged tables.
        task: the import.
        folder: where the records are written.

    Raises:
        BadRecord: a record breaks a rule.
        NoRecords: there are none.
        duckdb.InvalidInputException: the file does not have its format.
    """
    records = _copied(connection, folder)
    survey = _Survey(*_row(connection, _SURVEY))
    if survey.records == 0:
        raise NoRecords(task.file.name)
    day = task.day or _day_of(task, survey.first_record_ms)
    out_of_day = _count_out_of_day(connection, task, survey, day)
    # Names of dropped records are reported too, so this comes before any is dropped.
    names = _unknown_names(connection, task) if survey.with_others else ()
    is_sorted = not (out_of_day or survey.is_mixed_up) or _drop_records(connection, records, _within(day))
    kept, first_ms, last_ms = _row(
        connection,
        f"SELECT count(*), min(timestamp_ms), max(timestamp_ms) FROM {SELECTED}",  # noqa: S608
    )
    return Selection(
        trading_day=day,
        records=kept,
        duplicates=survey.records - out_of_day - kept,
        out_of_day=out_of_day,
        first_ms=first_ms,
        last_ms=last_ms,
        unknown_fields=names,
        unknown_records=survey.with_others,
        is_sorted=is_sorted,
        kept=_flags(connection, survey.records) if kept < survey.records else None,
    )


def drop_selection(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the view and the table that ``select_records`` made, if they exist."""
    connection.execute(f"DROP VIEW IF EXISTS temp.{SELECTED}")
    connection.execute(f"DROP TABLE IF EXISTS temp.{_KEPT}")


def parquet_query(task: ImportTask, spilled: Path | None = None) -> str:
    """Return the query of a partition's Parquet rows in the order of time, and of the file within a record.

    Args:
        task: the import.
        spilled: the Parquet file with the rows of ``unsorted_query``, if the records are not in the order of
            time: sorting while the file is read would take too much memory.
    """
    key = f"timestamp_ms AS timestamp, {quoted(task.ticker)} AS ticker, {quoted(task.endpoint)} AS endpoint"
    rows = task.format.rows
    if rows is None:
        fields = ", ".join(field.stored_as for field in task.format.fields)
        return f"SELECT {key}, {fields} FROM {SELECTED} ORDER BY timestamp_ms"  # noqa: S608 (quoted)
    parts = ", ".join(part.stored_as for part in rows.parts)
    if spilled is None:
        return f"SELECT {key}, {parts} FROM {ROWS}"  # noqa: S608 (quoted)
    file = f"read_parquet({quoted(str(spilled))}, hive_partitioning = false, file_row_number = true)"
    return f"SELECT {key}, {parts} FROM {file} ORDER BY timestamp_ms, file_row_number"  # noqa: S608 (quoted)


def unsorted_query(task: ImportTask, selection: Selection) -> str | None:
    """Return the query of the rows in the order of the file, or None if that is the order of time."""
    rows = task.format.rows
    if rows is None or selection.is_sorted:
        return None
    parts = ", ".join(part.stored_as for part in rows.parts)
    return f"SELECT timestamp_ms, {parts} FROM {ROWS}"  # noqa: S608 (names of ours)


def _copied(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Write the records to Parquet, select all of them, and return the expression that reads the file."""
    file = quoted(str(folder / "records.parquet"))
    connection.execute(f"COPY (FROM {RECORDS}) TO {file} (FORMAT parquet, COMPRESSION lz4)")
    records = f"read_parquet({file}, hive_partitioning = false)"
    connection.execute(f"CREATE TEMP VIEW {SELECTED} AS FROM {records}")
    return records


@dataclass(frozen=True)
class _Survey:
    """Counts over all records of the file."""

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
         FROM (SELECT timestamp_ms, lag(timestamp_ms) OVER (ORDER BY number) AS previous_ms FROM {SELECTED})),
        min_by(timestamp_ms, number), count(others)
    FROM {SELECTED}
"""  # noqa: S608 (a constant)
"""The query whose columns are the fields of ``_Survey``."""


def _day_of(task: ImportTask, timestamp_ms: int) -> date:
    if fault := fault_of_first_time(timestamp_ms):
        raise BadRecord(task.file.name, 1, *fault)
    return trading_day_of(timestamp_ms)


def _within(day: date) -> str:
    start, end = bounds_ms(day)
    return f"timestamp_ms >= {start} AND timestamp_ms < {end}"


def _count_out_of_day(
    connection: duckdb.DuckDBPyConnection, task: ImportTask, survey: _Survey, day: date
) -> int:
    """Return how many records are of another day.

    Raises:
        BadRecord: more than the limit, or all.
    """
    within = _within(day)
    query = f"SELECT count(*), min(number), min_by(timestamp_ms, number) FROM {SELECTED} WHERE NOT ({within})"  # noqa: S608 (constants)
    count, first, first_ms = _row(connection, query)
    if count > task.max_out_of_day or count == survey.records:
        raise BadRecord(task.file.name, first, *fault_of_day(first_ms, day))
    return int(count)


def _unknown_names(connection: duckdb.DuckDBPyConnection, task: ImportTask) -> tuple[str, ...]:
    """Return the field names that the format does not know.

    Raises:
        BadRecord: a record has one twice.
    """
    names, repeating, repeated = _row(
        connection,
        f"""
        SELECT list_sort(list_distinct(flatten(list(names)))),
            min(first) FILTER (WHERE len(names) > len(list_distinct(names))),
            min_by(names, first) FILTER (WHERE len(names) > len(list_distinct(names)))
        FROM (
            SELECT from_json(others, '["VARCHAR"]') AS names, first
            FROM (
                SELECT others, min(number) AS first FROM {SELECTED} WHERE others IS NOT NULL GROUP BY others
            )
        )
        """,  # noqa: S608 (a constant)
    )
    if repeating is not None:
        raise BadRecord(task.file.name, repeating, *fault_of_twice(repeated))
    return tuple(names)


def _drop_records(connection: duckdb.DuckDBPyConnection, records: str, within: str) -> bool:
    """Drop out-of-day records, and all but the first record of a timestamp, from the selection.

    Return whether the file has the others in the order of time.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE {_KEPT} AS SELECT number, timestamp_ms FROM {SELECTED} WHERE {within}
        QUALIFY row_number() OVER (PARTITION BY timestamp_ms ORDER BY number) = 1
        """  # noqa: S608 (constants)
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {SELECTED} AS FROM {records} SEMI JOIN {_KEPT} USING (number)"
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
