"""Read the heads of records into a temporary table, hold them to the rules, and put them in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from services.importer.diagnosis_json import find_fault, refusal_of
from services.importer.errors import NoRecords
from services.importer.formats.format import MAX_DEPTH, MAX_RECORD_BYTES, Kind
from services.importer.reader_duckdb import (
    TIMESTAMP_MS,
    is_valid,
    read_json,
    read_objects,
    stored,
)
from services.importer.source import Source
from services.importer.split_file import Split
from services.importer.statements_duckdb import quoted
from shared.trading_day import bounds_ms, trading_day_of

TABLE: Final = "heads"


class HeadsUnfit(Exception):
    """Heads cannot stand for the records, which have to be read whole."""


@dataclass(frozen=True)
class Heads:
    """What the temporary table ``heads`` holds: one row a record that is kept, in the order of time.

    Args:
        trading_day: the day of all of them.
        records: how many are kept.
        duplicates: how many were dropped because an earlier one has the same timestamp.
        strays: how many were dropped because they are of another day.
        first_ms: the first timestamp.
        last_ms: the last one.
        unknown_fields: names in the file that the format does not know.
        unknown_records: how many records carry such a field.
        in_file: how many records the file has, with those that were dropped.
        is_sorted: whether the file has the kept ones in the order of time.
        is_dubious: whether something was seen that only reading every value can decide on.
    """

    trading_day: date
    records: int
    duplicates: int
    strays: int
    first_ms: int
    last_ms: int
    unknown_fields: tuple[str, ...]
    unknown_records: int
    in_file: int
    is_sorted: bool
    is_dubious: bool


def load_heads(connection: duckdb.DuckDBPyConnection, source: Source, split: Split) -> Heads:
    """Read and check the heads.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is no JSON of the vendor's form.
        HeadsUnfit: rows hold more than numbers, or something else holds what looks like rows.
    """
    connection.execute(_load(source, split))
    seen = _Survey(*_row(connection, _SURVEY))
    if seen.records == 0:
        raise find_fault(source) or NoRecords(source.path.name)
    if split.is_derived and (seen.is_unfit or split.largest_bytes > MAX_RECORD_BYTES):
        raise HeadsUnfit
    if seen.faults:
        raise refusal_of(source, "a record breaks a rule")
    day = source.day or _day_of(source, seen.first_record_ms)
    start, end = bounds_ms(day)
    inside = f"timestamp_ms >= {start} AND timestamp_ms < {end}"
    (strays,) = _row(connection, f"SELECT count(*) FILTER (WHERE NOT ({inside})) FROM {TABLE}")  # noqa: S608
    if strays > source.max_strays or strays == seen.records:
        raise refusal_of(source, "a record is outside the trading day")
    # Before any record goes: every name counts.
    names = (
        _Names((), 0, seen.is_deep) if seen.all_names_are_known(split) else _names(connection, source, split)
    )
    is_sorted = True
    if strays or seen.distinct < seen.records or seen.steps_back:
        is_sorted = _rearrange(connection, inside)
    kept, first_ms, last_ms = _row(
        connection,
        f"SELECT count(*), min(timestamp_ms), max(timestamp_ms) FROM {TABLE}",  # noqa: S608
    )
    return Heads(
        trading_day=day,
        records=kept,
        duplicates=seen.records - strays - kept,
        strays=strays,
        first_ms=first_ms,
        last_ms=last_ms,
        unknown_fields=names.unknown,
        unknown_records=names.records,
        in_file=seen.records,
        is_sorted=is_sorted,
        is_dubious=names.is_odd,
    )


def drop_heads(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the temporary table, if it is there."""
    connection.execute(f"DROP TABLE IF EXISTS temp.{TABLE}")


@dataclass(frozen=True)
class _Survey:
    """What the heads are like at first sight."""

    records: int
    faults: int
    distinct: int
    steps_back: int
    first_record_ms: int
    names: int
    """How many known names have a value other than null."""
    is_deep: bool
    """Whether an array has so many brackets that it may be too deep."""
    is_unfit: bool
    """Whether rows were left in, or may have been left out of another field."""

    def all_names_are_known(self, split: Split) -> bool:
        """Tell whether there are no more colons than the known names with values account for."""
        return split.colons == self.names


@dataclass(frozen=True)
class _Names:
    """What names the records have.

    Args:
        unknown: those that the format does not know, sorted.
        records: how many records have one of them.
        is_odd: whether one comes twice in a record, or a record has so many brackets that it may be too deep.
    """

    unknown: tuple[str, ...]
    records: int
    is_odd: bool


_SURVEY: Final = f"""
    SELECT count(*), count(*) FILTER (WHERE NOT is_valid), count(DISTINCT timestamp_ms),
        (SELECT count(*) FILTER (WHERE timestamp_ms < previous_ms)
         FROM (SELECT timestamp_ms, lag(timestamp_ms) OVER () AS previous_ms FROM {TABLE})),
        min_by(timestamp_ms, number), sum(names), coalesce(bool_or(is_deep), false),
        coalesce(bool_or(is_unfit), false)
    FROM {TABLE}
"""  # noqa: S608 (a constant)
"""The query whose columns are the fields of ``_Survey``."""


def _load(source: Source, split: Split) -> str:
    """Return the statement that reads the heads: values as they are stored, and what to know of them."""
    fields, rows = source.format.fields, source.format.rows
    rules = [
        f"{TIMESTAMP_MS} IS NOT NULL",
        "coalesce(json_type(timestamp) IN ('BIGINT', 'UBIGINT', 'DOUBLE'), false)",
        "coalesce(json_type(ticker) = 'VARCHAR', false)",
        f"coalesce(upper(ticker ->> '$') = {quoted(source.ticker)}, false)",
        *(is_valid(field) for field in fields),
    ]
    names = source.format.known
    arrays = [field.name for field in fields if field.kind in {Kind.ARRAY, Kind.NUMBERS}]
    deep = [f"{_brackets(name)} > {MAX_DEPTH}" for name in arrays]
    unfit = [f"contains(CAST({name} AS VARCHAR), '{{')" for name in arrays]
    if rows is not None:
        unfit.append(f"CAST({rows.field} AS VARCHAR) <> '[]'")
    return f"""
        CREATE TEMP TABLE {TABLE} AS
        SELECT row_number() OVER () AS number, {TIMESTAMP_MS} AS timestamp_ms,
            {", ".join(stored(field) for field in fields)},
            {" AND ".join(rules)} AS is_valid,
            {" + ".join(f"CAST({name} IS NOT NULL AS TINYINT)" for name in names)} AS names,
            {" OR ".join(deep) or "false"} AS is_deep,
            {" OR ".join(unfit) or "false"} AS is_unfit
        FROM {read_json(split.heads, split.form, split.largest_bytes, dict.fromkeys(names, "JSON"))}
    """  # noqa: S608 (quoted)


def _brackets(name: str) -> str:
    text = f"CAST({name} AS VARCHAR)"
    return f"(length({text}) - length(replace(replace({text}, '[', ''), '{{', '')))"


def _day_of(source: Source, timestamp_ms: int) -> date:
    try:
        return trading_day_of(timestamp_ms)
    except (ValueError, OverflowError, OSError) as error:
        raise refusal_of(source, "the first timestamp is no time") from error


def _rearrange(connection: duckdb.DuckDBPyConnection, inside: str) -> bool:
    """Drop strays, and all but the first record of a timestamp, and put the others in the order of time.

    Return whether that was their order before.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE kept AS SELECT * FROM {TABLE} WHERE {inside}
        QUALIFY row_number() OVER (PARTITION BY timestamp_ms ORDER BY number) = 1 ORDER BY timestamp_ms
        """  # noqa: S608 (constants)
    )
    connection.execute(f"DROP TABLE {TABLE}")
    connection.execute(f"ALTER TABLE kept RENAME TO {TABLE}")
    order = f"SELECT number, lag(number) OVER () AS previous FROM {TABLE}"  # noqa: S608 (a constant)
    (steps_back,) = _row(connection, f"SELECT count(*) FILTER (WHERE number < previous) FROM ({order})")  # noqa: S608
    return not steps_back


def _names(connection: duckdb.DuckDBPyConnection, source: Source, split: Split) -> _Names:
    known = ", ".join(quoted(name) for name in source.format.known)
    names, records, odd = _row(
        connection,
        f"""
        SELECT list_sort(list_distinct(flatten(list(unknown)))), count(*) FILTER (WHERE len(unknown) > 0),
            count(*) FILTER (WHERE len(names) > len(list_distinct(names)) OR brackets > {MAX_DEPTH})
        FROM (
            SELECT names, list_filter(names, lambda name: name NOT IN ({known})) AS unknown, brackets
            FROM (
                SELECT json_keys(json) AS names, {_brackets("json")} AS brackets
                FROM {read_objects(split.heads, split.form, split.largest_bytes)}
            )
        )
        """,  # noqa: S608 (quoted)
    )
    return _Names(tuple(names or ()), records, bool(odd))


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
