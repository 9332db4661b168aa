"""The query of a partition's Parquet rows, from the tables of a staged file."""

from __future__ import annotations

from pathlib import Path

from services.importer.imports.selection import HEADS, Heads
from services.importer.imports.task import ImportTask
from services.importer.lake.statements import quoted
from services.importer.reader.arrow_stream import ROWS


def parquet_query(source: ImportTask, spilled: Path | None = None) -> str:
    """Return the query of the rows in the order of time, and within a record in that of the file.

    Args:
        source: whose rows.
        spilled: where ``unsorted_query`` has put them, if the records were not in the order of time: sorted
            while the file is read, they would not fit into little memory.
    """
    key = (
        f"timestamp_ms AS timestamp, {quoted(source.ticker)} AS ticker, {quoted(source.endpoint)} AS endpoint"
    )
    rows = source.format.rows
    if rows is None:
        fields = ", ".join(field.stored_as for field in source.format.fields)
        return f"SELECT {key}, {fields} FROM {HEADS} ORDER BY timestamp_ms"  # noqa: S608 (quoted)
    parts = ", ".join(part.stored_as for part in rows.parts)
    if spilled is None:
        return f"SELECT {key}, {parts} FROM {ROWS}"  # noqa: S608 (quoted)
    file = f"read_parquet({quoted(str(spilled))}, hive_partitioning = false, file_row_number = true)"
    return f"SELECT {key}, {parts} FROM {file} ORDER BY timestamp_ms, file_row_number"  # noqa: S608 (quoted)


def unsorted_query(source: ImportTask, heads: Heads) -> str | None:
    """Return the query of the rows as they come, or None if that is the order of time."""
    rows = source.format.rows
    if rows is None or heads.is_sorted:
        return None
    parts = ", ".join(part.stored_as for part in rows.parts)
    return f"SELECT timestamp_ms, {parts} FROM {ROWS}"  # noqa: S608 (names of ours)
