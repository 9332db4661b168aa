"""The query of a partition's Parquet rows, from the pieces of a staged file."""

from __future__ import annotations

from services.importer.formats.format import Field, Kind, Rows
from services.importer.heads_duckdb import TABLE, Heads
from services.importer.reader_duckdb import TIMESTAMP_MS, read_json
from services.importer.source import Source
from services.importer.split_file import Split
from services.importer.statements_duckdb import quoted


def parquet_query(source: Source, split: Split, heads: Heads) -> str:
    """Return the query of the rows in the order of time, and within a record in that of the file.

    It fails with an error that DuckDB calls an invalid input when a row is not what it must be.
    """
    key = f"{quoted(source.ticker)} AS ticker, {quoted(source.endpoint)} AS endpoint"
    rows = source.format.rows
    if rows is None:
        fields = ", ".join(field.stored_as for field in source.format.fields)
        return f"SELECT timestamp_ms AS timestamp, {key}, {fields} FROM {TABLE} ORDER BY timestamp_ms"  # noqa: S608
    records = _rearranged(rows, split) if heads.rearranged else _as_they_come(rows, split)
    taken = ", ".join(
        f"{_taken(part, place)} AS {part.stored_as}" for place, part in enumerate(rows.parts, 1)
    )
    checks = [_check(part) for part in rows.parts]
    checks.append(f"parts BETWEEN {rows.least} AND {len(rows.parts)}")
    return f"""
        SELECT timestamp_ms AS timestamp, {key}, {", ".join(part.stored_as for part in rows.parts)}
        FROM (SELECT timestamp_ms, len(element) AS parts, {taken}
              FROM (SELECT timestamp_ms, unnest(elements) AS element FROM ({records})))
        WHERE CASE WHEN {" AND ".join(checks)} THEN timestamp_ms IS NOT NULL
            ELSE error('a row of {rows.field} is not what it must be') END
    """  # noqa: S608 (quoted)


def _as_they_come(rows: Rows, split: Split) -> str:
    read = read_json(
        split.pieces, split.form, split.largest_bytes, {"timestamp": "JSON", rows.field: "JSON[][]"}
    )
    return f"SELECT {TIMESTAMP_MS} AS timestamp_ms, {rows.field} AS elements FROM {read}"  # noqa: S608


def _rearranged(rows: Rows, split: Split) -> str:
    """Take all records, those that are kept in the order of time, those that are not without a time.

    Numbered, they are read by one thread. What is dropped is checked like what is kept.
    """
    read = read_json(split.pieces, split.form, split.largest_bytes, {rows.field: "JSON[][]"})
    return f"""
        SELECT {TABLE}.timestamp_ms, elements
        FROM (SELECT row_number() OVER () AS number, {rows.field} AS elements FROM {read}) AS records
        LEFT JOIN {TABLE} USING (number) ORDER BY {TABLE}.timestamp_ms
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
