"""How much memory an import may use: DuckDB's limit, and the size of the batches that it reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

BOUNDED_MEMORY_MB: Final = 160
"""DuckDB's memory with the profile ``bounded``, and the minimum in a small container."""
DEFAULT_MEMORY_MB: Final = 384
DEFAULT_QUERY_MEMORY_MB: Final = 384
MIN_QUERY_MEMORY_MB: Final = 256
"""Less is not enough for a query that groups the rows of one day."""
IMPORT_MB: Final = 400
"""What the importer itself takes during an import."""
LARGE_BATCHES_MEMORY_MB: Final = 192
"""The minimum of DuckDB's memory for large batches."""
LARGE_BATCHES_FILE_BYTES: Final = 8 * 1024 * 1024
"""The minimum size of a file for which large batches keep more threads than one busy."""
LARGE_BATCH_ROWS: Final = 60_000
SMALL_BATCH_ROWS: Final = 15_000

_CONTROL_GROUPS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container finds its limit: version 2 of the kernel's control groups, and version 1."""
_NO_LIMIT: Final = 1 << 60
"""Version 1 shows a number near 2^63 if there is no limit."""


class MemoryProfile(StrEnum):
    """The setting ``GEXLAKE_MEMORY_PROFILE``; what is imported is the same with each."""

    AUTO = "auto"
    """Chosen by the file's size, DuckDB's memory and threads."""
    FAST = "fast"
    """Large batches, which keep all threads busy."""
    BOUNDED = "bounded"
    """Small batches and little memory."""


@dataclass(frozen=True)
class ImportMemory:
    """What imports may use.

    Args:
        duckdb_mb: DuckDB's memory, in MiB.
        profile: as it is set.
        threads: of DuckDB; 0 is one per processor.
    """

    duckdb_mb: int = DEFAULT_MEMORY_MB
    profile: MemoryProfile = MemoryProfile.AUTO
    threads: int = 0

    def batch_rows(self, size_bytes: int) -> int:
        """Return the number of rows after which the reader ends a batch of a file of this size."""
        threads = self.threads or os.cpu_count() or 1
        pays = size_bytes >= LARGE_BATCHES_FILE_BYTES and threads > 1
        fits = self.duckdb_mb >= LARGE_BATCHES_MEMORY_MB
        is_large = pays and fits if self.profile is MemoryProfile.AUTO else self.profile is MemoryProfile.FAST
        return LARGE_BATCH_ROWS if is_large else SMALL_BATCH_ROWS


def duckdb_memory_mb(profile: MemoryProfile, limit_mb: int | None, container_mb: int | None) -> int:
    """Return DuckDB's memory, in MiB.

    Args:
        profile: as it is set.
        limit_mb: the limit that is set, if one is.
        container_mb: the memory that the process itself is limited to, if it is.
    """
    if limit_mb is not None:
        return limit_mb
    if profile is MemoryProfile.BOUNDED:
        return BOUNDED_MEMORY_MB
    if container_mb is None:
        return DEFAULT_MEMORY_MB
    return min(DEFAULT_MEMORY_MB, max(BOUNDED_MEMORY_MB, container_mb // 2))


def default_query_memory_mb(workers: int, container_mb: int | None) -> int:
    """Return the memory of a query's process, in MiB, so that all of them and an import fit.

    Args:
        workers: how many queries run at a time, beside the quick one and the export.
        container_mb: the memory that the container is limited to, if it is.
    """
    if container_mb is None:
        return DEFAULT_QUERY_MEMORY_MB
    left = (container_mb - IMPORT_MB) // (workers + 2)
    return min(DEFAULT_QUERY_MEMORY_MB, max(MIN_QUERY_MEMORY_MB, left))


def container_memory_mb(files: Sequence[Path] = _CONTROL_GROUPS) -> int | None:
    """Return the memory that this process's control group is limited to, in MiB; None if it is not."""
    for file in files:
        with suppress(OSError, ValueError):  # another version, no control groups at all, or "max"
            limit = int(file.read_text())
            return limit >> 20 if limit < _NO_LIMIT else None
    return None
