"""A fuzzer's input: one byte of choices, and the content of the file."""

from __future__ import annotations

import gzip
from typing import Final

from tests.support.files.history_files import DAY, HistoryFile

_PACKED: Final = 1
_NAMED_PACKED: Final = 2
"""The file's name ends in .gz, even if the content is not gzip data."""
_NO_DAY: Final = 4
_OUT_OF_DAY: Final = 8
_BOUNDED: Final = 16
_BLOCK_BYTES: Final = (1, 7, 200, 1 << 20)


def file_of(data: bytes) -> tuple[HistoryFile, str]:
    """Return the file of an input, and the memory profile to import it with."""
    choices, content = data[0], data[1:]
    packed = bool(choices & (_PACKED | _NAMED_PACKED))
    file = HistoryFile(
        gzip.compress(content, 1, mtime=0) if choices & _PACKED else content,
        packed=packed,
        day=None if choices & _NO_DAY else DAY,
        max_out_of_day=2 if choices & _OUT_OF_DAY else 0,
        block_bytes=_BLOCK_BYTES[choices >> 6],
    )
    return file, "bounded" if choices & _BOUNDED else "fast"


def input_of(content: bytes, number: int) -> bytes:
    """Return the input of some content, with choices that differ from number to number."""
    choices = number * 0b01010100 & 0b11111100
    return bytes([choices | (number % 7 == 0)]) + content
