"""A disk that is full for the importer, and has space again: a real one where one can be mounted."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from simulator.stack import Stack

_SIZE_MB: Final = 256
_BLOCK: Final = bytes(1 << 20)
_LEAST_LIMIT_BYTES: Final = 256 * 1024
"""The importer's log, a file too, is smaller."""


class Disk(Protocol):
    """Where a stack's data is."""

    def fill(self, stack: Stack, room_bytes: int) -> None:
        """Leave no more than so much room."""

    def free(self, stack: Stack) -> None:
        """Have space again."""


class SmallDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self, stack: Stack, room_bytes: int) -> None:  # noqa: ARG002 (whoever writes meets it)
        """Write until nothing more is taken, then give so much back."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while file.write(_BLOCK):
                    pass
            except OSError:
                file.truncate(max(0, file.tell() - room_bytes))

    def free(self, stack: Stack) -> None:  # noqa: ARG002
        """Remove what fills the disk."""
        self._filler.unlink()


class FileSizeLimit:
    """No file of the importer may grow beyond a limit, nor be written to behind it."""

    def fill(self, stack: Stack, room_bytes: int) -> None:
        """Set the limit."""
        _limit(stack, max(room_bytes, _LEAST_LIMIT_BYTES))

    def free(self, stack: Stack) -> None:
        """Lift the limit."""
        _limit(stack, resource.prlimit(_importer(stack), resource.RLIMIT_FSIZE)[1])


@contextmanager
def disk_at(folder: Path) -> Iterator[Disk]:
    """Mount a small file system at ``folder``; where only root can, limit the importer's files instead."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs"]
    mounting = subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)  # noqa: S607
    is_mounted = mounting.returncode == 0
    try:
        yield SmallDisk(folder) if is_mounted else FileSizeLimit()
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def _limit(stack: Stack, soft_bytes: int) -> None:
    pid = _importer(stack)
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft_bytes, hard))


def _importer(stack: Stack) -> int:
    return stack.processes["importer"].pid


@contextmanager
def own_files_limited(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size_bytes`` for as long as the context lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
