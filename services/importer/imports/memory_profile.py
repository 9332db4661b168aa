"""Choose how much memory an import takes; the result is the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

BOUNDED_MEMORY_MB: Final = 160
"""What DuckDB gets where imports must always be bounded."""
DEFAULT_MEMORY_MB: Final = 384
FAST_MEMORY_MB: Final = 192
"""The least that the fast path runs well in."""
_WORTH_IT_BYTES: Final = 8 * 1024 * 1024
"""From this size on, more threads than one find something to do."""
_CONTROL_GROUPS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container finds its limit: in version 2 of the kernel's control groups, and in version 1."""
_NO_LIMIT: Final = 1 << 60
"""Version 1 writes a number near the largest that there is."""


class ImportPath(StrEnum):
    """How a file is read."""

    AUTO = "auto"
    """As file, memory and processors suggest."""
    FAST = "fast"
    """In batches of a size that keeps all threads busy."""
    BOUNDED = "bounded"
    """In small batches, for little memory."""

    @property
    def batch_rows(self) -> int:
        """After how many rows a batch ends that the reader hands to DuckDB."""
        return 15_000 if self is ImportPath.BOUNDED else 60_000


def chosen(wanted: ImportPath, memory_mb: int, threads: int, size_bytes: int) -> ImportPath:
    """Return the path that a file is imported on.

    Args:
        wanted: what the setting says.
        memory_mb: what DuckDB may use.
        threads: how many DuckDB has.
        size_bytes: the staged file's size.
    """
    if wanted is not ImportPath.AUTO:
        return wanted
    is_worth_it = size_bytes >= _WORTH_IT_BYTES and threads > 1 and memory_mb >= FAST_MEMORY_MB
    return ImportPath.FAST if is_worth_it else ImportPath.BOUNDED


def memory_for(wanted: ImportPath, limit_mb: int | None, container_mb: int | None) -> int:
    """Return what DuckDB may use, in MiB.

    Args:
        wanted: the path that the setting says.
        limit_mb: the limit that the setting says, if it does.
        container_mb: the memory that the process itself is limited to, if it is.
    """
    if limit_mb is not None:
        return limit_mb
    if wanted is ImportPath.BOUNDED:
        return BOUNDED_MEMORY_MB
    return (
        min(DEFAULT_MEMORY_MB, max(BOUNDED_MEMORY_MB, container_mb // 2))
        if container_mb
        else DEFAULT_MEMORY_MB
    )


def container_memory_mb(files: Sequence[Path] = _CONTROL_GROUPS) -> int | None:
    """Return the memory that this process's control group is limited to, in MiB; None if it is not."""
    for file in files:
        with suppress(OSError, ValueError):  # another version, no control groups at all, or "max"
            limit = int(file.read_text())
            return limit >> 20 if limit < _NO_LIMIT else None
    return None
