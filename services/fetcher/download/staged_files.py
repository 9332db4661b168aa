"""Files in their place in the staging folder, and whose they are.

Two URLs may end in the same name. The first file of that name has the place; another job's is staged beside
it under a name with that job in it, so that each import finds the file that it was told of.
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
"""Nobody has written an owner, the file system keeps none, or there is no file."""


@dataclass(frozen=True)
class StagedFile:
    """A file in its place, complete and on disk."""

    path: Path
    size_bytes: int
    sha256: str
    modified_ns: int


def find(path: Path, size_bytes: int, sha256: str) -> StagedFile | None:
    """Return the file at ``path`` if it is there and has this content.

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


def mark(descriptor: int, job_id: UUID) -> None:
    """Note whose file this is, where the file system can.

    Raises:
        OSError: the disk does not take it.
    """
    try:
        os.setxattr(descriptor, _OWNER, job_id.hex.encode())
    except OSError as error:
        if error.errno not in _NO_OWNERS:
            raise


def place_for(final: Path, job_id: UUID) -> Path:
    """Return where a job's file may be put: ``final``, unless another job's file is there."""
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
def alone_in(folder: Path) -> Iterator[None]:
    """Let nobody else put a file into a folder meanwhile, in whichever process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
