"""Write a partition to Parquet, so that readers see the old file or the whole new one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from services.importer.errors import StorageTrouble
from services.importer.lake.statements import quoted
from shared.paths import is_partial, partial_path
from shared.process.durable_files import make_folder, sync_file
from shared.process.failpoints import failpoint

_OPTIONS: Final = (
    "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 120_000, "
    "DICTIONARY_SIZE_LIMIT 2_000"
)
"""The encodings of version 2 suit numbers that hardly repeat, so a fast compression level makes files of
nearly the same size; such numbers get no dictionary. Row groups have slightly fewer rows than those of
DuckDB's tables (122,880), so that each is inserted as one of them."""


@dataclass(frozen=True)
class ParquetFile:
    """A complete Parquet file, under its hidden or its final name."""

    path: Path
    rows: int
    size_bytes: int
    sha256: str


@contextmanager
def hidden_parquet(
    connection: duckdb.DuckDBPyConnection, query: str, final: Path, owner: str, metadata: Mapping[str, str]
) -> Iterator[ParquetFile]:
    """Write the rows of ``query`` beside ``final`` under a hidden name, flushed and checked.

    Its footer contains ``metadata``. A file that is renamed within the context stays; one that still has the
    hidden name at the end is removed.

    Raises:
        StorageTrouble: the file on disk is not what was written.
    """
    make_folder(final.parent)
    hidden = partial_path(final, owner)
    try:
        written = connection.execute(
            f"COPY ({query}) TO {quoted(str(hidden))} ({copy_options(metadata)})"
        ).fetchone()
        sync_file(hidden)
        rows = _rows_in_footer(connection, hidden)
        if written is None or rows != written[0]:
            raise StorageTrouble(f"writing {hidden}", ValueError(f"its footer has {rows} rows"))
        failpoint("importer.parquet_written")
        yield ParquetFile(hidden, rows, hidden.stat().st_size, sha256_of(hidden))
    finally:
        hidden.unlink(missing_ok=True)


def copy_options(metadata: Mapping[str, str]) -> str:
    """Return the options of COPY that every Parquet file of the lake is written with."""
    pairs = ", ".join(f"{quoted(key)}: {quoted(value)}" for key, value in metadata.items())
    return f"{_OPTIONS}, KV_METADATA {{{pairs}}}"


def is_present(path: Path, sha256: str) -> bool:
    """Return whether a Parquet file exists with the bytes that were written."""
    return path.is_file() and sha256_of(path) == sha256


def remove_partials(root: Path) -> int:
    """Remove the hidden files of a process that died; return how many."""
    left = [path for path in root.rglob(".*") if is_partial(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows_in_footer(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    row = connection.execute(
        f"SELECT sum(num_rows) FROM parquet_file_metadata({quoted(str(path))})"  # noqa: S608 (quoted)
    ).fetchone()
    return int(row[0] or 0) if row else 0
