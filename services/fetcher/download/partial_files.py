"""A file that is being downloaded: hidden, locked, and with metadata to resume from."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final
from uuid import UUID

from services.fetcher.download import resume_metadata
from services.fetcher.download.content import Content
from services.fetcher.download.partial_recovery import RecoveredPartial, locked, partial_name, recover
from services.fetcher.download.resume_metadata import ResumeMetadata
from services.fetcher.download.staged_files import StagedFile, final_path_for, find, lock_folder, record_owner
from services.fetcher.errors import FileTooLarge, NotAHistoryFile
from services.fetcher.sources.source import Chunk, ResumePoint
from shared.paths import resume_metadata_path
from shared.process.durable_files import make_folder, rename_durably, sync_file, sync_folder

_READ_ONLY: Final = 0o444
_READ_BYTES: Final = 1024 * 1024
_WRITE_BYTES: Final = 128 * 1024
"""Small writes are slow, because each acquires Python's lock again; larger ones were measured to take up to
twice the kernel's time on a virtual machine."""
_MAX_BLOCKS: Final = 64


class PartialFile:
    """One partial file in the staging folder; its methods block, and may be called from any thread.

    ``release`` and ``discard`` may be called while another thread is in another method, whose task was
    cancelled: they wait for it, and later calls raise ``ValueError``.

    Args:
        final: the path of the complete file.
        job_id: the job of any generation; a fresh signature is the same file.
        max_bytes: the maximum inflated size of gzip data.
    """

    def __init__(self, final: Path, job_id: UUID, max_bytes: int) -> None:
        self.final = final
        self._job_id = job_id
        self._max_bytes = max_bytes
        self._content = Content(final.name, max_bytes)
        self._path = final
        self._file: FileIO | None = None
        self._is_released = False
        self._source = ""
        self._etag: str | None = None
        self._total_bytes: int | None = None
        self._lock = threading.Lock()
        # Acquired before _lock, and held while metadata and file must agree; writes need _lock only.
        self._metadata_lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """The size so far."""
        return self._content.size_bytes

    @property
    def is_complete(self) -> bool:
        """Whether the content may be complete: see ``Content.is_complete``."""
        return self._content.is_complete

    @property
    def is_resumable(self) -> bool:
        """Whether the source lets a later attempt go on from the bytes so far."""
        return self._etag is not None

    @property
    def resume_point(self) -> ResumePoint | None:
        """Where the download can resume; None if the whole file must be requested."""
        size, total = self.size_bytes, self._total_bytes
        if self._etag is None or not size or (total is not None and size >= total):
            return None
        return ResumePoint(size, self._etag, total)

    def open(self) -> None:
        """Resume the partial file of an earlier attempt at the job, or create one and missing folders.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._metadata_lock, self._lock:
            self._check_not_released()
            make_folder(self.final.parent)
            recovered = recover(self.final, self._job_id)
            if recovered is not None:
                self._resume(recovered)
            while self._file is None:
                self._path = partial_name(self.final, self._job_id, secrets.token_hex(4))
                self._file = locked(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def begin(self, source: str, start_bytes: int, etag: str | None, total_bytes: int | None) -> None:
        """Prepare for the bytes from ``start_bytes`` on: the current size to resume, or 0 to restart.

        Raises:
            OSError: the file cannot be truncated.
        """
        with self._metadata_lock, self._lock:
            if start_bytes != self.size_bytes:
                self._restart(self._opened())
            self._source, self._etag, self._total_bytes = source, etag, total_bytes

    def write(self, blocks: Sequence[Chunk]) -> None:
        """Append blocks and update the checksum.

        Raises:
            OSError: they cannot be written.
            Terminal: the content is not that of a history file.
        """
        with self._lock:
            file = self._opened()
            # The first bytes are checked together. Later blocks are joined, and so copied, only if they are
            # many.
            must_join = not self._content.size_bytes or len(blocks) > _MAX_BLOCKS
            for block in [b"".join(blocks)] if must_join else blocks:
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest[:_WRITE_BYTES]) :]
                self._content.update(self._source, block)

    def checkpoint(self) -> None:
        """Make the bytes so far durable and write the metadata, if the download can be resumed.

        Other threads may write in the meantime.

        Raises:
            OSError: they cannot be written.
        """
        with self._metadata_lock:
            self._checkpoint()

    def seal(self) -> None:
        """Check that the file may end here and make it durable.

        Raises:
            OSError: it cannot be written.
            Terminal: it is empty, an incomplete gzip, or an error of the vendor.
        """
        with self._lock:
            self._content.finish(self._source)
            os.fsync(self._opened().fileno())

    def publish(self) -> StagedFile:
        """Rename the sealed file into place, read-only; beside the place if another job's file has it.

        An existing file with the same content stays unchanged, modification time included: an import that was
        requested before a crash still finds its file.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._metadata_lock, self._lock, lock_folder(self.final.parent):
            descriptor = self._opened().fileno()
            path = final_path_for(self.final, self._job_id)
            modified_ns = os.fstat(descriptor).st_mtime_ns
            staged = StagedFile(path, self.size_bytes, self._content.sha256, modified_ns)
            same = find(staged.path, staged.size_bytes, staged.sha256)
            if same is None:
                record_owner(descriptor, self._job_id)
                os.fchmod(descriptor, _READ_ONLY)
                rename_durably(self._path, path)
            else:
                sync_file(path)
                sync_folder(path.parent)
                self._path.unlink()
            resume_metadata.remove(resume_metadata_path(self._path))
            self._close()
        return same or staged

    def release(self) -> None:
        """Close the file unless published: keep it if the download can be resumed, else remove it.

        Raises:
            OSError: it cannot be written.
        """
        with self._metadata_lock:
            can_resume = False
            try:
                can_resume = self._checkpoint()
            finally:
                with self._lock:
                    self._release(remove=not can_resume)

    def discard(self) -> None:
        """Remove the partial file unless published; a second call does nothing."""
        with self._metadata_lock, self._lock:
            self._release(remove=True)

    def _checkpoint(self) -> bool:
        with self._lock:
            size, total = self.size_bytes, self._total_bytes
            is_too_long = total is not None and size > total
            if self._file is None or self._is_released or self._etag is None or not size or is_too_long:
                return False
            metadata = ResumeMetadata(etag=self._etag, total_bytes=total, durable_bytes=size)
            descriptor = os.dup(self._file.fileno())
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        resume_metadata.write(resume_metadata_path(self._path), metadata)
        return True

    def _resume(self, recovered: RecoveredPartial) -> None:
        """Read the durable bytes again; restart if they are not those of a history file."""
        self._path, self._file = recovered.path, recovered.file
        durable, total = recovered.metadata.durable_bytes, recovered.metadata.total_bytes
        # The last byte of a complete file is requested again, so that the source confirms the entity tag.
        wanted = durable if total is None else min(durable, total - 1)
        with suppress(NotAHistoryFile, FileTooLarge):
            while block := recovered.file.read(min(wanted - self.size_bytes, _READ_BYTES)):
                self._content.update(str(recovered.path), block)
        if self.size_bytes == wanted:
            recovered.file.truncate(wanted)
            self._etag, self._total_bytes = recovered.metadata.etag, total
        else:
            self._restart(recovered.file)

    def _restart(self, file: FileIO) -> None:
        # Remove the metadata first: without it no attempt takes new bytes for the rest of old ones.
        resume_metadata.remove(resume_metadata_path(self._path))
        file.seek(0)
        file.truncate()
        self._content = Content(self.final.name, self._max_bytes)
        self._etag = self._total_bytes = None

    def _check_not_released(self) -> None:
        if self._is_released:
            raise ValueError(f"the partial file of {self.final} was released")

    def _opened(self) -> FileIO:
        self._check_not_released()
        if self._file is None:
            raise ValueError(f"the partial file of {self.final} is not open")
        return self._file

    def _release(self, *, remove: bool) -> None:
        if self._file is not None and not self._is_released and remove:
            self._path.unlink(missing_ok=True)
            resume_metadata.remove(resume_metadata_path(self._path))
        self._close()

    def _close(self) -> None:
        self._is_released = True
        if self._file is not None:
            self._file.close()
