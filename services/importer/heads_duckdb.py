"""Read the heads of records into a temporary table, hold them to the rules, and put them in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from services.importer.diagnosis_json import find_fault, refusal_of
from services.importer.errors import NoRecords
from services.importer.formats.format import MAX_DEPTH
from services.importer.reader_duckdb import TIMESTAMP_MS, is_valid, read_json, read_objects
from services.importer.source import Source
from services.importer.split_file import Split
from services.importer.statements_duckdb import quoted
from shared.trading_day import bounds_ms, trading_day_of

TABLE: Final = "heads"


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
        rearranged: whether the records of the file are not just these, in this order.
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
    rearranged: bool
    is_dubious: bool


def load_heads(connection: duckdb.DuckDBPyConnection, source: Source, split: Split) -> Heads:
    """Read and check the heads.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is no JSON of the vendor's form.
    """
    columns = dict.fromkeys(("timestamp", "ticker", *(field.name for field in source.format.fields)), "JSON")
    connection.execute(
        f"CREATE TEMP TABLE {TABLE} AS "  # noqa: S608 (quoted)
        f"SELECT row_number() OVER () AS number, {TIMESTAMP_MS} AS timestamp_ms, * "
        f"FROM {read_json(split.heads, split.form, split.largest_bytes, columns)}"
    )
    records, faults, distinct, steps_back, first_record_ms = _row(connection, _survey(source))
    if records == 0:
        raise find_fault(source) or NoRecords(source.path.name)
    if faults:
        raise refusal_of(source, "a record breaks a rule")
    day = source.day or _day_of(source, first_record_ms)
    start, end = bounds_ms(day)
    inside = f"timestamp_ms >= {start} AND timestamp_ms < {end}"
    (strays,) = _row(connection, f"SELECT count(*) FILTER (WHERE NOT ({inside})) FROM {TABLE}")  # noqa: S608
    if strays > source.max_strays or strays == records:
        raise refusal_of(source, "a record is outside the trading day")
    if rearranged := bool(strays or distinct < records or steps_back):
        _rearrange(connection, inside)
    kept, first_ms, last_ms = _row(
        connection,
        f"SELECT count(*), min(timestamp_ms), max(timestamp_ms) FROM {TABLE}",  # noqa: S608
    )
    names, unknown, is_odd = _names(connection, source, split)
    return Heads(
        trading_day=day,
        records=kept,
        duplicates=records - strays - kept,
        strays=strays,
        first_ms=first_ms,
        last_ms=last_ms,
        unknown_fields=names,
        unknown_records=unknown,
        rearranged=rearranged,
        is_dubious=is_odd or (source.format.rows is not None and split.row_arrays != records),
    )


def drop_heads(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the temporary table, if it is there."""
    connection.execute(f"DROP TABLE IF EXISTS temp.{TABLE}")


def _survey(source: Source) -> str:
    """Return the query that counts records, faults, distinct timestamps and steps back in time."""
    rules = [
        "timestamp_ms IS NOT NULL",
        "coalesce(json_type(timestamp) IN ('BIGINT', 'UBIGINT', 'DOUBLE'), false)",
        "coalesce(json_type(ticker) = 'VARCHAR', false)",
        f"coalesce(upper(ticker ->> '$') = {quoted(source.ticker)}, false)",
        *(is_valid(field) for field in source.format.fields),
    ]
    return f"""
        SELECT count(*), count(*) FILTER (WHERE NOT ({" AND ".join(rules)})), count(DISTINCT timestamp_ms),
            count(*) FILTER (WHERE timestamp_ms < previous_ms), first(timestamp_ms ORDER BY number)
        FROM (SELECT *, lag(timestamp_ms) OVER (ORDER BY number) AS previous_ms FROM {TABLE})
    """  # noqa: S608 (the only value is quoted)


def _day_of(source: Source, timestamp_ms: int) -> date:
    try:
        return trading_day_of(timestamp_ms)
    except (ValueError, OverflowError, OSError) as error:
        raise refusal_of(source, "the first timestamp is no time") from error


def _rearrange(connection: duckdb.DuckDBPyConnection, inside: str) -> None:
    """Drop strays, and all but the first record of a timestamp, and put the others in the order of time."""
    connection.execute(
        f"""
        CREATE TEMP TABLE kept AS SELECT * FROM {TABLE} WHERE {inside}
        QUALIFY row_number() OVER (PARTITION BY timestamp_ms ORDER BY number) = 1 ORDER BY timestamp_ms
        """  # noqa: S608 (constants)
    )
    connection.execute(f"DROP TABLE {TABLE}")
    connection.execute(f"ALTER TABLE kept RENAME TO {TABLE}")


def _names(
    connection: duckdb.DuckDBPyConnection, source: Source, split: Split
) -> tuple[tuple[str, ...], int, bool]:
    """Return the unknown names, in how many records they are, and whether a record looks odd.

    Odd is a name that comes twice, or so many brackets that they may be too deep.
    """
    known = ", ".join(quoted(name) for name in source.format.known)
    brackets = "length(json) - length(replace(replace(CAST(json AS VARCHAR), '[', ''), '{', ''))"
    names, records, odd = connection.execute(
        f"""
        SELECT list_sort(list_distinct(flatten(list(unknown)))), count(*) FILTER (WHERE len(unknown) > 0),
            count(*) FILTER (WHERE len(names) > len(list_distinct(names)) OR brackets > {MAX_DEPTH})
        FROM (
            SELECT names, list_filter(names, lambda name: name NOT IN ({known})) AS unknown, brackets
            FROM (
                SELECT json_keys(json) AS names, {brackets} AS brackets
                FROM {read_objects(split.heads, split.form, split.largest_bytes)}
            )
        )
        """  # noqa: S608 (quoted)
    ).fetchone() or ((), 0, 0)
    return tuple(names or ()), records, bool(odd)


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
