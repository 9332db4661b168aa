"""Small Parquet files with the rows of one or more batches of live messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from services.importer.lake.live.stored_batch import LiveUnit, StoredBatch
from services.importer.lake.live.tables import KEYS, STRIKES
from services.importer.lake.statements import quoted

MERGED_AT_ONCE: Final = 16
_OPTIONS: Final = "FORMAT parquet, COMPRESSION lz4"


@dataclass(frozen=True)
class Chunk:
    """The rows of batches that follow one another.

    Args:
        last: the number of the last batch.
        level: how often its rows were merged.
        units: the partitions, hours and chains that the rows belong to.
        files: by the name of the table, or ``KEYS``; only those with rows.
    """

    last: int
    level: int
    units: frozenset[LiveUnit]
    files: Mapping[str, Path]


def write_chunk(connection: duckdb.DuckDBPyConnection, batch: StoredBatch, name: str) -> Chunk:
    """Write the rows of a batch.

    Args:
        connection: has the batch's temporary tables.
        batch: what was stored.
        name: the path of the files, without the ending.

    Raises:
        duckdb.Error: a file cannot be written; none is left.
    """
    queries = {table: f"FROM {temporary}" for table, temporary in batch.tables.items()}
    if STRIKES in batch.tables:
        # The newest rows of a snapshot are found by these: about one in a hundred of its strikes' rows.
        columns = "ticker, endpoint, timestamp, sequence"
        queries[KEYS] = f"SELECT DISTINCT {columns} FROM {batch.tables[STRIKES]}"  # noqa: S608 (of ours)
    files = _write(connection, queries, name)
    return Chunk(batch.sequence, 0, frozenset({*batch.partitions, *batch.hours, *batch.chains}), files)


def merge_chunks(connection: duckdb.DuckDBPyConnection, chunks: Sequence[Chunk], name: str) -> Chunk:
    """Write the rows of chunks, which follow one another, to one file a table.

    Raises:
        duckdb.Error: a file cannot be written; none is left.
    """
    names = dict.fromkeys(name for chunk in chunks for name in chunk.files)
    queries = {}
    for table in names:
        paths = ", ".join(quoted(str(chunk.files[table])) for chunk in chunks if table in chunk.files)
        queries[table] = f"FROM read_parquet([{paths}], hive_partitioning = false)"
    files = _write(connection, queries, name)
    units = frozenset(unit for chunk in chunks for unit in chunk.units)
    return Chunk(chunks[-1].last, chunks[-1].level + 1, units, files)


def _write(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str], name: str
) -> Mapping[str, Path]:
    files = {table: Path(f"{name}.{table}.parquet") for table in queries}
    try:
        for table, query in queries.items():
            connection.execute(f"COPY ({query}) TO {quoted(str(files[table]))} ({_OPTIONS})")
    except duckdb.Error:
        for path in files.values():
            path.unlink(missing_ok=True)
        raise
    return files
