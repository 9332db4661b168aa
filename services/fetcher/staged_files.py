"""Files in their place in the staging folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


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
