"""Find, resume and sweep the partial files of ended attempts.

A partial file is locked (``flock``) while a process writes it. The kernel releases the lock when the process
ends, so several fetchers can share a folder and each can sweep it.
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
from services.fetcher.download.resume_metadata import ResumeMetadata
from shared.paths import is_partial, is_resume_metadata, partial_path, resume_metadata_path

STALE_AFTER_S: Final = 24 * 3600
"""A partial file that was not resumed for this long is swept."""


@dataclass(frozen=True)
class RecoveredPartial:
    """A partial file that can be resumed, open and locked."""

    path: Path
    file: FileIO
    metadata: ResumeMetadata


def partial_name(final: Path, job_id: UUID, token: str) -> Path:
    """Return the hidden path of an attempt at a job's file."""
    return partial_path(final, f"{job_id.hex}-{token}")


def partial_files(final: Path, job_id: UUID) -> list[Path]:
    """Return the hidden paths of all attempts at a job's file.

    Raises:
        OSError: the folder cannot be read.
    """
    start = f".{final.name}.{job_id.hex}-"
    return [path for path in final.parent.iterdir() if is_partial(path) and path.name.startswith(start)]


def recover(final: Path, job_id: UUID) -> RecoveredPartial | None:
    """Return the job's partial file with the most durable bytes, locked; remove the others.

    Raises:
        OSError: the folder cannot be read.
    """
    found = partial_files(final, job_id)
    resumable = sorted(
        filter(None, map(_open_resumable, found)), key=lambda partial: partial.metadata.durable_bytes
    )
    best = resumable.pop() if resumable else None
    for other in resumable:
        other.file.close()
    for path in found:
        if best is None or path != best.path:
            _remove_if_unlocked(path)
    return best


def remove_abandoned(folder: Path, job_id: UUID) -> int:
    """Remove the unlocked partial files of a job from a folder; return their number.

    Raises:
        OSError: the folder cannot be read.
    """
    start = f".{job_id.hex}-"
    return sum(
        _remove_if_unlocked(path) for path in folder.iterdir() if is_partial(path) and start in path.name
    )


def sweep_tree(root: Path, now_s: float) -> int:
    """Remove the unlocked partial files below ``root`` that are stale or cannot be resumed.

    Args:
        root: the staging folder.
        now_s: the current time, in seconds since 1970.

    Returns:
        The number of removed partial files.
    """
    paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    swept = sum(
        _remove_if_unlocked(path) for path in paths if is_partial(path) and not _is_resumable(path, now_s)
    )
    for path in filter(is_resume_metadata, paths):
        if not path.with_suffix(".part").exists():
            resume_metadata.remove(path.with_suffix(".resume"))
    return swept


def locked(path: Path, flags: int) -> FileIO | None:
    """Open and lock a partial file; None if it is gone or locked.

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


def _open_resumable(path: Path) -> RecoveredPartial | None:
    # A read-only file is complete but was not published; it is not resumed.
    with suppress(PermissionError):
        file = locked(path, os.O_RDWR)
        if file is None:
            return None
        metadata = resume_metadata.read(resume_metadata_path(path))
        if metadata is not None and os.fstat(file.fileno()).st_size >= metadata.durable_bytes:
            return RecoveredPartial(path, file, metadata)
        file.close()
    return None


def _is_resumable(path: Path, now_s: float) -> bool:
    """Return whether a later attempt may resume a partial file."""
    metadata_path = resume_metadata_path(path)
    with suppress(FileNotFoundError):
        is_fresh = now_s - metadata_path.stat().st_mtime < STALE_AFTER_S
        return is_fresh and resume_metadata.read(metadata_path) is not None
    return False


def _remove_if_unlocked(path: Path) -> bool:
    file = locked(path, os.O_RDONLY)
    if file is None:
        return False
    with file:
        path.unlink(missing_ok=True)
        resume_metadata.remove(resume_metadata_path(path))
    return True
