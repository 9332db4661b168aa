"""The query of a partition's Parquet rows, from the pieces of a staged file."""

from __future__ import annotations

from pathlib import Path

from services.importer.formats.format import Field, Kind, Rows
from services.importer.heads_duckdb import TABLE, Heads
from services.importer.reader_duckdb import TIMESTAMP_MS, read_json
from services.importer.source import Source
from services.importer.split_file import Split
from services.importer.statements_duckdb import quoted


def parquet_query(source: Source, split: Split, heads: Heads, spilled: Path | None = None) -> str:
    """Return the query of the rows in the order of time, and within a record in that of the file.

    It fails with an error that DuckDB calls an invalid input when a row is not what it must be.

    Args:
        source: whose rows.
        split: where they are.
        heads: what is known of their records.
        spilled: where ``unsorted_query`` has put them, if the records were not in the order of time: sorted
            together with reading JSON, they would not fit into little memory.
    """
    key = f"{quoted(source.ticker)} AS ticker, {quoted(source.endpoint)} AS endpoint"
    rows = source.format.rows
    if rows is None:
        fields = ", ".join(field.stored_as for field in source.format.fields)
        return f"SELECT timestamp_ms AS timestamp, {key}, {fields} FROM {TABLE} ORDER BY timestamp_ms"  # noqa: S608
    parts = ", ".join(part.stored_as for part in rows.parts)
    if spilled is not None:
        origin = (
            f"read_parquet({quoted(str(spilled))}, hive_partitioning = false) ORDER BY timestamp_ms, place"
        )
    else:
        origin = f"({_checked(rows, split, heads)})"
    return f"SELECT timestamp_ms AS timestamp, {key}, {parts} FROM {origin}"  # noqa: S608 (quoted)


def unsorted_query(source: Source, split: Split, heads: Heads) -> str | None:
    """Return the query of the rows with their places, or None if they come in the order of time."""
    rows = source.format.rows
    return None if rows is None or heads.is_sorted else _checked(rows, split, heads)


def _checked(rows: Rows, split: Split, heads: Heads) -> str:
    """Return the query of the rows as the file has them; those that are dropped are checked, too."""
    are_all_in_order = heads.is_sorted and heads.records == heads.in_file
    records = _as_they_come(rows, split) if are_all_in_order else _numbered(rows, split, heads)
    taken = ", ".join(
        f"{_taken(part, place)} AS {part.stored_as}" for place, part in enumerate(rows.parts, 1)
    )
    checks = [_check(part) for part in rows.parts]
    checks.append(f"parts BETWEEN {rows.least} AND {len(rows.parts)}")
    place = "" if heads.is_sorted else ", generate_subscripts(elements, 1) AS place"
    return f"""
        SELECT timestamp_ms, {", ".join(part.stored_as for part in rows.parts)}{place and ", place"}
        FROM (SELECT timestamp_ms, len(element) AS parts, {taken}{place and ", place"}
              FROM (SELECT timestamp_ms, unnest(elements) AS element{place} FROM ({records})))
        WHERE CASE WHEN {" AND ".join(checks)} THEN timestamp_ms IS NOT NULL
            ELSE error('a row of {rows.field} is not what it must be') END
    """  # noqa: S608 (quoted)


def _as_they_come(rows: Rows, split: Split) -> str:
    read = read_json(
        split.pieces, split.form, split.largest_bytes, {"timestamp": "JSON", rows.field: "JSON[][]"}
    )
    return f"SELECT {TIMESTAMP_MS} AS timestamp_ms, {rows.field} AS elements FROM {read}"  # noqa: S608


def _numbered(rows: Rows, split: Split, heads: Heads) -> str:
    """Give each record the time that the heads have for its number: none if it is dropped."""
    read = read_json(split.pieces, split.form, split.largest_bytes, {rows.field: "JSON[][]"})
    times = f"""
        SELECT list({TABLE}.timestamp_ms ORDER BY every.number)
        FROM range(1, {heads.in_file + 1}) AS every(number) LEFT JOIN {TABLE} ON {TABLE}.number = every.number
    """  # noqa: S608 (constants and a number)
    return f"""
        SELECT ({times})[number] AS timestamp_ms, elements
        FROM (SELECT row_number() OVER () AS number, {rows.field} AS elements FROM {read})
    """  # noqa: S608 (constants)


def _taken(part: Field, place: int) -> str:
    """Return a part of an element; by way of its JSON text, a quoted number or a boolean is no number."""
    text = f"CAST(element[{place}] AS VARCHAR)"
    return f"CAST({text} AS DOUBLE)" if part.kind is Kind.NUMBER else text


def _check(part: Field) -> str:
    name = part.stored_as
    if part.kind is Kind.NUMBER:
        return f"isfinite({name})" if part.required else f"({name} IS NULL OR isfinite({name}))"
    # That there are numbers and nulls in it was seen when the file was split.
    flat = f"starts_with({name}, '[') AND NOT starts_with({name}, '[[') AND NOT contains({name}, ',[')"
    return f"({name} IS NULL OR ({flat}))"
