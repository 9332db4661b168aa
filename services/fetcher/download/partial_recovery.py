"""What attempts have left behind: partial files to go on with, kept for a day, and the rest, which is swept.

A partial is locked (``flock``) while somebody writes it. The kernel lets go of the lock with the process,
however that ends, so several fetchers can share a folder and each can sweep it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final
from uuid import UUID

from services.fetcher.download import resume_metadata
from services.fetcher.download.resume_metadata import ResumeNote
from shared.paths import is_partial, is_resume_metadata, partial_path, resume_metadata_path

STALE_AFTER_S: Final = 24 * 3600
"""A partial that nobody has gone on with for so long is swept."""


@dataclass(frozen=True)
class Left:
    """A partial that can be gone on with, open and locked."""

    path: Path
    file: FileIO
    note: ResumeNote


def name_of(final: Path, job_id: UUID, token: str) -> Path:
    """Return the hidden name under which an attempt at a job's file writes it."""
    return partial_path(final, f"{job_id.hex}-{token}")


def take_over(final: Path, job_id: UUID) -> Left | None:
    """Return what is left of a job's file and has come furthest, locked; sweep what else is left of it.

    Raises:
        OSError: the folder cannot be read.
    """
    start = f".{final.name}.{job_id.hex}-"
    found = [path for path in final.parent.iterdir() if is_partial(path) and path.name.startswith(start)]
    left = sorted(filter(None, map(_opened, found)), key=lambda each: each.note.durable_bytes)
    best = left.pop() if left else None
    for each in left:
        each.file.close()
    for path in found:
        if best is None or path != best.path:
            _remove_if_dead(path)
    return best


def remove_dead(folder: Path, job_id: UUID) -> int:
    """Remove what attempts at a job's file have left in a folder and nobody writes; return how much that was.

    Raises:
        OSError: the folder cannot be read.
    """
    start = f".{job_id.hex}-"
    return sum(_remove_if_dead(path) for path in folder.iterdir() if is_partial(path) and start in path.name)


def sweep_tree(root: Path, now_s: float) -> int:
    """Remove every partial below ``root`` that nobody writes and nobody can or will go on with.

    Args:
        root: the staging folder.
        now_s: the time, in seconds since 1970.

    Returns:
        How many partials were removed.
    """
    paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    swept = sum(_remove_if_dead(path) for path in paths if is_partial(path) and not _is_worth(path, now_s))
    for path in filter(is_resume_metadata, paths):
        if not path.with_suffix(".part").exists():
            resume_metadata.remove(path.with_suffix(".resume"))
    return swept


def locked(path: Path, flags: int) -> FileIO | None:
    """Open a partial and lock it; None if it is gone, or somebody else has the lock.

    Raises:
        OSError: it cannot be opened or locked.
    """
    try:
        file = FileIO(os.open(path, flags | os.O_NOFOLLOW, 0o600), "rb" if flags == os.O_RDONLY else "r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            return file
    except BlockingIOError:
        pass
    except OSError:
        file.close()
        raise
    file.close()
    return None


def _opened(path: Path) -> Left | None:
    # Made read-only just before it was to be published: nobody can go on with that.
    with suppress(PermissionError):
        file = locked(path, os.O_RDWR)
        if file is None:
            return None
        note = resume_metadata.read(resume_metadata_path(path))
        if note is not None and os.fstat(file.fileno()).st_size >= note.durable_bytes:
            return Left(path, file, note)
        file.close()
    return None


def _is_worth(path: Path, now_s: float) -> bool:
    """Tell whether somebody may go on with a partial."""
    note_path = resume_metadata_path(path)
    with suppress(FileNotFoundError):
        is_fresh = now_s - note_path.stat().st_mtime < STALE_AFTER_S
        return is_fresh and resume_metadata.read(note_path) is not None
    return False


def _remove_if_dead(path: Path) -> bool:
    file = locked(path, os.O_RDONLY)
    if file is None:
        return False
    with file:
        path.unlink(missing_ok=True)
        resume_metadata.remove(resume_metadata_path(path))
    return True
