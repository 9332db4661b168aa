"""Partial files: written under a hidden name of their own, locked while their process lives.

The lock (``flock``) tells a partial that somebody is writing from one whose process died: the kernel lets go
of it with the process, however that ends. So several fetchers can share a folder and each can sweep it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final
from uuid import UUID

from shared.durable_files import make_folder, publish, sync_file, sync_folder
from shared.paths import is_partial, partial

_READ_ONLY: Final = 0o444


@dataclass(frozen=True)
class StagedFile:
    """A file in its place, complete and on disk."""

    path: Path
    size_bytes: int
    sha256: str
    modified_ns: int


class PartialFile:
    """One file on its way into the staging folder; its methods block, and may be called from any thread.

    ``discard`` may come while another thread is still in one of the others (when its task was cancelled): it
    waits for that, and whatever is called later raises ``ValueError``.

    Args:
        final: what the file will be.
        job_id: whose it is.
        generation: of the job.
    """

    def __init__(self, final: Path, job_id: UUID, generation: int) -> None:
        self.final = final
        self.size_bytes = 0
        self._path = final
        self._owner = f"{job_id.hex}-{generation}"
        self._file: FileIO | None = None
        self._is_over = False
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Create the hidden file, and the folders that are missing.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._lock:
            if self._is_over:
                raise ValueError(f"the partial file of {self.final} was discarded")
            make_folder(self.final.parent)
            while self._file is None:
                self._path = partial(self.final, f"{self._owner}-{secrets.token_hex(4)}")
                self._file = _created_and_locked(self._path)

    def write(self, block: bytes | bytearray) -> None:
        """Append a block and take it into the checksum.

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            file, rest = self._opened(), memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
            self._hash.update(block)
            self.size_bytes += len(block)

    def seal(self) -> None:
        """Make the bytes durable and the file read-only.

        Raises:
            OSError: the disk does not take them.
        """
        with self._lock:
            descriptor = self._opened().fileno()
            os.fchmod(descriptor, _READ_ONLY)
            os.fsync(descriptor)

    def publish(self) -> StagedFile:
        """Put the sealed file in its place.

        A file that is there already with the same content stays as it is, modification time included: an
        import that was asked for before a crash still finds the file that it was told of.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._lock:
            modified_ns = os.fstat(self._opened().fileno()).st_mtime_ns
            staged = StagedFile(self.final, self.size_bytes, self._hash.hexdigest(), modified_ns)
            same = find(staged.path, staged.size_bytes, staged.sha256)
            if same is None:
                publish(self._path, self.final)
            else:
                sync_file(self.final)
                sync_folder(self.final.parent)
                self._path.unlink()
            self._close()
        return same or staged

    def discard(self) -> None:
        """Remove the hidden file unless it was published; calling it again does nothing."""
        with self._lock:
            if self._file is not None and not self._is_over:
                self._path.unlink(missing_ok=True)
            self._close()

    def _opened(self) -> FileIO:
        if self._file is None or self._is_over:
            raise ValueError(f"the partial file of {self.final} is not open")
        return self._file

    def _close(self) -> None:
        self._is_over = True
        if self._file is not None:
            self._file.close()


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


def sweep_tree(root: Path) -> int:
    """Remove every partial below ``root`` whose process has died; return how many."""
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sum(_remove_if_dead(path) for path in paths if is_partial(path))


def sweep_job(final: Path, job_id: UUID) -> int:
    """Remove the partials of one job's ``final`` whose process has died; return how many."""
    start = f".{final.name}.{job_id.hex}-"
    with suppress(FileNotFoundError):
        partials = [path for path in final.parent.iterdir() if is_partial(path)]
        return sum(_remove_if_dead(path) for path in partials if path.name.startswith(start))
    return 0


def _created_and_locked(path: Path) -> FileIO | None:
    """Return a new file, or None if a sweep took it for a dead one before it was locked."""
    file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        path.unlink(missing_ok=True)
        file.close()
        raise
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


def _remove_if_dead(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
