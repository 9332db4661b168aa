"""Copy files with their checksums, and give restored ones to the owner of the folder that they go to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 1 << 20


@contextmanager
def private() -> Iterator[None]:
    """Let only the owner read the files and folders that are made meanwhile: backups hold keys."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file under a hidden name, flush it and rename it; return its size and checksum.

    Raises:
        OSError: it cannot be read or written.
    """
    hidden = target.with_name(f".{target.name}.part")
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as read, hidden.open("wb") as out:
            while block := read.read(_BLOCK_BYTES):
                digest.update(block)
                out.write(block)
                size += len(block)
            out.flush()
            os.fsync(out.fileno())
        before = source.stat()
        os.utime(hidden, ns=(before.st_atime_ns, before.st_mtime_ns))
        hidden.rename(target)
    finally:
        hidden.unlink(missing_ok=True)
    return size, digest.hexdigest()


def checksum(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(root: Path) -> Iterator[Path]:
    """Yield the complete files below a folder: those that are still being written have hidden names."""
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if not hidden and path.is_file():
            yield path


def make_folder(folder: Path, root: Path) -> None:
    """Create a folder below ``root``; each new one belongs to the owner of ``root``."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        give_to_owner_of(root, each)


def give_to_owner_of(root: Path, path: Path) -> None:
    """Give a file or folder to the owner of ``root``: root restores the files of the services' user."""
    owner = root.stat()
    found = path.stat()
    if (owner.st_uid, owner.st_gid) != (found.st_uid, found.st_gid):
        with suppress(PermissionError):  # only root may, and only root restores for others
            os.chown(path, owner.st_uid, owner.st_gid)


def sync_folders(root: Path) -> None:
    """Flush the entries of a folder and of those below it."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
