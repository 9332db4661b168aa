"""Has the kernel write a growing file to the disk early, so that its flush has little left to wait for.

By itself Linux begins only when much memory is dirty, which a file of 150 MB does not make: then the flush at
its end writes all of it, while neither the network nor a processor has anything to do for that file. This
makes nothing durable (there is no barrier, and errors are the flush's to tell), and waits only for a place in
the queue of the disk.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

EVERY_BYTES: Final = 8 * 1024 * 1024
"""How much is begun with at once."""
_SYNC_FILE_RANGE_WRITE: Final = 2


def _sync_file_range() -> Any:
    """Return the function of the C library, which Python does not offer; None where it has none."""
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


class Writeback:
    """The writing of one file, from its start to its end."""

    def __init__(self) -> None:
        self._begin = _sync_file_range()
        self._begun_bytes = 0

    def go_on(self, descriptor: int, size_bytes: int) -> None:
        """Begin to write what has come since the last time, if it is worth it.

        Args:
            descriptor: the file's.
            size_bytes: how much of it is there.
        """
        new_bytes = size_bytes - self._begun_bytes
        if self._begin is not None and new_bytes >= EVERY_BYTES:
            self._begin(descriptor, self._begun_bytes, new_bytes, _SYNC_FILE_RANGE_WRITE)
            self._begun_bytes = size_bytes
