"""Write runs of records into files, each of which is an array again, or whole lines."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

_MOST_WAITING: Final = 8
"""So many writes may wait for the disk: runs of half a megabyte each."""


class Pieces:
    """Pieces of a file, written by a thread of their own while the file is looked through.

    Args:
        folder: where they are written.
        in_array: whether a piece needs the brackets of an array.
        size_bytes: what a piece has at least, except the last.
    """

    def __init__(self, folder: Path, *, in_array: bool, size_bytes: float) -> None:
        self.paths: list[Path] = []
        self._folder = folder
        self._in_array = in_array
        self._enough = size_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pieces")
        self._waiting: deque[Future[object]] = deque()

    def add(self, run: bytes, gap: bytes) -> None:
        """Write a run, and what is between it and the next, unless another piece begins there.

        Raises:
            OSError: an earlier write failed.
        """
        if self._file is None:
            self.paths.append(self._folder / f"piece{len(self.paths)}.json")
            self._file, self._size = self.paths[-1].open("wb", buffering=0), 0
            # The first run has the file's own bracket, the last its closing one.
            self._put(b"[" if self._in_array and len(self.paths) > 1 else b"")
        self._put(run)
        if gap and self._size >= self._enough:
            self._put(b"]" if self._in_array else b"")
            self._close()
        else:
            self._put(gap)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the last piece and wait for what is under way; errors matter if nothing else went wrong."""
        self._close()
        try:
            if error is None:
                self._await(0)
        finally:
            self._thread.shutdown()

    def _put(self, data: bytes) -> None:
        if self._file is not None and data:
            self._size += len(data)
            self._waiting.append(self._thread.submit(_write_all, self._file, data))
            self._await(_MOST_WAITING)

    def _await(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def _close(self) -> None:
        if self._file is not None:
            self._waiting.append(self._thread.submit(self._file.close))
            self._file = None


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write to an unbuffered file, which may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
