"""A file on its way into the staging folder: under a hidden name, locked, and with a note to go on by."""

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
from services.fetcher.download.partial_recovery import Left, locked, name_of, take_over
from services.fetcher.download.resume_metadata import ResumeNote
from services.fetcher.download.staged_files import StagedFile, alone_in, find, mark, place_for
from services.fetcher.errors import FileTooLarge, NotAHistoryFile
from services.fetcher.sources.source import Chunk, Held
from shared.paths import resume_metadata_path
from shared.process.durable_files import make_folder, rename_durably, sync_file, sync_folder

_READ_ONLY: Final = 0o444
_READ_BYTES: Final = 1024 * 1024
_WRITE_BYTES: Final = 128 * 1024
"""Each write takes Python's lock anew. Larger ones take larger pieces of page cache, which a virtual machine
may have to ask its host for: the same bytes were seen to take twice the kernel's time."""
_MAX_BLOCKS: Final = 64


class PartialFile:
    """One file on its way into the staging folder; its methods block, and may be called from any thread.

    ``leave`` and ``discard`` may come while another thread is still in one of the others (when its task was
    cancelled): they wait for that, and whatever is called later raises ``ValueError``.

    Args:
        final: what the file will be.
        job_id: whose it is, in any generation: a fresh signature is the same file.
        max_bytes: how many a ``.gz`` may inflate to.
    """

    def __init__(self, final: Path, job_id: UUID, max_bytes: int) -> None:
        self.final = final
        self._job_id = job_id
        self._max_bytes = max_bytes
        self._content = Content(final.name, max_bytes)
        self._path = final
        self._file: FileIO | None = None
        self._is_over = False
        self._source = ""
        self._etag: str | None = None
        self._total_bytes: int | None = None
        self._lock = threading.Lock()
        # Held while note and file must agree, and taken first: with it alone, writing goes on meanwhile.
        self._noting = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """How much of the file is here."""
        return self._content.size_bytes

    @property
    def is_whole(self) -> bool:
        """Whether the file may end here, as far as its bytes tell: neither a gzip nor brackets break off."""
        return self._content.is_whole

    @property
    def held(self) -> Held | None:
        """What the source can be asked to go on from; None if it has to send the whole."""
        size, total = self.size_bytes, self._total_bytes
        if self._etag is None or not size or (total is not None and size >= total):
            return None
        return Held(size, self._etag, total)

    def open(self) -> None:
        """Go on with what an earlier attempt at the job has left, or create the file and missing folders.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._noting, self._lock:
            self._check_not_over()
            make_folder(self.final.parent)
            left = take_over(self.final, self._job_id)
            if left is not None:
                self._go_on_with(left)
            while self._file is None:
                self._path = name_of(self.final, self._job_id, secrets.token_hex(4))
                self._file = locked(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def begin(self, source: str, start_bytes: int, etag: str | None, total_bytes: int | None) -> None:
        """Get ready for the bytes from ``start_bytes`` on: the end of what is here, or 0 for another file.

        Raises:
            OSError: the disk does not let go of what was here.
        """
        with self._noting, self._lock:
            if start_bytes != self.size_bytes:
                self._start_anew(self._opened())
            self._source, self._etag, self._total_bytes = source, etag, total_bytes

    def write(self, blocks: Sequence[Chunk]) -> None:
        """Append blocks and take them into the checksum.

        Raises:
            OSError: the disk does not take them.
            Terminal: they are not what the file's name promises.
        """
        with self._lock:
            file = self._opened()
            # The first bytes are judged together. Later ones are not copied once more unless they are crumbs.
            is_to_join = not self._content.size_bytes or len(blocks) > _MAX_BLOCKS
            for block in [b"".join(blocks)] if is_to_join else blocks:
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest[:_WRITE_BYTES]) :]
                self._content.take(self._source, block)

    def keep(self) -> None:
        """Make durable what is here, and note it, if the source can be asked to go on from there.

        Others may write meanwhile.

        Raises:
            OSError: the disk does not take it.
        """
        with self._noting:
            self._keep()

    def seal(self) -> None:
        """Check that the file may end here and make its bytes durable.

        Raises:
            OSError: the disk does not take them.
            NotAHistoryFile: it is empty, or breaks off.
        """
        with self._lock:
            self._content.end(self._source)
            os.fsync(self._opened().fileno())

    def publish(self) -> StagedFile:
        """Put the sealed file in its place, read-only; beside it if another job's file is there.

        A file that is there already with the same content stays as it is, modification time included: an
        import that was asked for before a crash still finds the file that it was told of.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._noting, self._lock, alone_in(self.final.parent):
            descriptor = self._opened().fileno()
            place = place_for(self.final, self._job_id)
            modified_ns = os.fstat(descriptor).st_mtime_ns
            staged = StagedFile(place, self.size_bytes, self._content.sha256, modified_ns)
            same = find(staged.path, staged.size_bytes, staged.sha256)
            if same is None:
                mark(descriptor, self._job_id)
                os.fchmod(descriptor, _READ_ONLY)
                rename_durably(self._path, place)
            else:
                sync_file(place)
                sync_folder(place.parent)
                self._path.unlink()
            resume_metadata.remove(resume_metadata_path(self._path))
            self._close()
        return same or staged

    def leave(self) -> None:
        """Let go of the file unless it was published: it stays if it can be gone on with, else it is removed.

        Raises:
            OSError: the disk does not take what is here.
        """
        with self._noting:
            can_stay = False
            try:
                can_stay = self._keep()
            finally:
                with self._lock:
                    self._let_go(remove=not can_stay)

    def discard(self) -> None:
        """Remove the hidden file unless it was published; calling it again does nothing."""
        with self._noting, self._lock:
            self._let_go(remove=True)

    def _keep(self) -> bool:
        with self._lock:
            size, total = self.size_bytes, self._total_bytes
            is_too_long = total is not None and size > total
            if self._file is None or self._is_over or self._etag is None or not size or is_too_long:
                return False
            note = ResumeNote(etag=self._etag, total_bytes=total, durable_bytes=size)
            descriptor = os.dup(self._file.fileno())
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        resume_metadata.write(resume_metadata_path(self._path), note)
        return True

    def _go_on_with(self, left: Left) -> None:
        """Read again what is there; begin anew if it is not what it should be."""
        self._path, self._file = left.path, left.file
        whole = left.note.total_bytes
        # Of a file that is here whole the last byte is asked for again: the source must say that it is it.
        wanted = left.note.durable_bytes if whole is None else min(left.note.durable_bytes, whole - 1)
        with suppress(NotAHistoryFile, FileTooLarge):
            while block := left.file.read(min(wanted - self.size_bytes, _READ_BYTES)):
                self._content.take(str(left.path), block)
        if self.size_bytes == wanted:
            left.file.truncate(wanted)
            self._etag, self._total_bytes = left.note.etag, whole
        else:
            self._start_anew(left.file)

    def _start_anew(self, file: FileIO) -> None:
        # The note goes first: without it nobody takes new bytes for the end of old ones.
        resume_metadata.remove(resume_metadata_path(self._path))
        file.seek(0)
        file.truncate()
        self._content = Content(self.final.name, self._max_bytes)
        self._etag = self._total_bytes = None

    def _check_not_over(self) -> None:
        if self._is_over:
            raise ValueError(f"the partial file of {self.final} was let go of")

    def _opened(self) -> FileIO:
        self._check_not_over()
        if self._file is None:
            raise ValueError(f"the partial file of {self.final} is not open")
        return self._file

    def _let_go(self, *, remove: bool) -> None:
        if self._file is not None and not self._is_over and remove:
            self._path.unlink(missing_ok=True)
            resume_metadata.remove(resume_metadata_path(self._path))
        self._close()

    def _close(self) -> None:
        self._is_over = True
        if self._file is not None:
            self._file.close()
