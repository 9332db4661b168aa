"""Complete files in the staging folder, and the jobs that own them.

Two URLs may end in the same name. The first file keeps that name; another job's file is staged beside it
under a name that contains the job, so that each import finds its own file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from shared.paths import name_with_job_id

_OWNER: Final = "user.gexlake.job"
_NO_OWNERS: Final = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)
"""No owner is recorded, the file system has no extended attributes, or the file does not exist."""


@dataclass(frozen=True)
class StagedFile:
    """A complete, durable file in the staging folder."""

    path: Path
    size_bytes: int
    sha256: str
    modified_ns: int


def find(path: Path, size_bytes: int, sha256: str) -> StagedFile | None:
    """Return the file at ``path`` if it exists and has this content.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size == size_bytes and hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return StagedFile(path, size_bytes, sha256, found.st_mtime_ns)
    except FileNotFoundError:
        return None
    return None


def record_owner(descriptor: int, job_id: UUID) -> None:
    """Record the job that owns a file, if the file system supports it.

    Raises:
        OSError: the attribute cannot be written.
    """
    try:
        os.setxattr(descriptor, _OWNER, job_id.hex.encode())
    except OSError as error:
        if error.errno not in _NO_OWNERS:
            raise


def final_path_for(final: Path, job_id: UUID) -> Path:
    """Return the path for a job's file: ``final``, or one beside it if another job's file is there."""
    try:
        owner = os.getxattr(final, _OWNER)
    except OSError as error:
        if error.errno not in _NO_OWNERS:
            raise
        return final
    if owner == job_id.hex.encode():
        return final
    return final.with_name(name_with_job_id(final.name, job_id))


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, so that one process at a time publishes files in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
