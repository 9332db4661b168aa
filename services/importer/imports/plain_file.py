"""Unpack a staged file that is gzip data, whatever its name says."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.importer.errors import TooLargeUnpacked, UnreadableFile
from services.importer.formats.format import MAX_RECORD_BYTES
from services.importer.interruption import Interruption
from services.importer.reader.source import OpenFile

_BLOCK_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


PROBE_BYTES: Final = 64 * 1024 * 1024
"""After this much is unpacked, its records are checked: gzip packs nonsense a thousandfold."""


def plain_file(
    file: OpenFile,
    folder: Path,
    interruption: Interruption,
    max_bytes: int,
    check: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Return the path of a staged file, or of its content unpacked into ``folder`` if it is gzip data.

    The vendor also names gzip data ``.json`` and plain JSON ``.json.gz``, so the first two bytes decide.

    Args:
        file: the staged file.
        folder: where it is unpacked.
        interruption: ends the work from another thread.
        max_bytes: the maximum unpacked size.
        check: is called once with the beginning of a larger file, and raises if it is not that of a day.

    Raises:
        UnreadableFile: its gzip data is damaged, or a record in it is too large.
        TooLargeUnpacked: it unpacks to more than ``max_bytes``.
        OSError: it cannot be read, or unpacked.
    """
    if not _is_packed(file.path):
        return file.path
    plain = folder / "plain.json"
    try:
        _unpack(file, plain, interruption, max_bytes, check)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        size_bytes = plain.stat().st_size
        problem = f"its gzip data is cut off or damaged after {size_bytes} bytes of text ({error})"
        raise UnreadableFile(file.name, problem) from error
    return plain


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def _unpack(
    file: OpenFile,
    plain: Path,
    interruption: Interruption,
    max_bytes: int,
    check: Callable[[Path], None],
) -> None:
    size = last_end = 0
    with gzip.open(file.path, "rb") as packed, plain.open("wb") as out:
        while block := packed.read(_BLOCK_BYTES):
            interruption.check()
            end = block.rfind(b"}") + 1
            last_end = size + end if end else last_end
            size += len(block)
            if size > max_bytes:
                raise TooLargeUnpacked(file.name, max_bytes)
            # The reader would find it, but only after all is unpacked: gzip packs blanks a thousandfold.
            if size - last_end > MAX_RECORD_BYTES + _BLOCK_BYTES:
                problem = f"the record after byte {last_end} is larger than {MAX_RECORD_BYTES >> 20} MiB"
                raise UnreadableFile(file.name, problem)
            out.write(block)
            if size - len(block) < PROBE_BYTES <= size:
                out.flush()
                check(plain)
