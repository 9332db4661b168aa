"""The text of a flat file: unpacked, and its first line read."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.importer.errors import TooLargeUnpacked, UnreadableFile
from services.importer.interruption import Interruption
from services.importer.reader.source import OpenFile
from shared.massive.flat_files import columns_of

TYPES: Final = {
    "ticker": "VARCHAR",
    **dict.fromkeys(("open", "close", "high", "low"), "DOUBLE"),
    "window_start": "BIGINT",
    "volume": "DOUBLE",
    "vwap": "DOUBLE",
    "transactions": "BIGINT",
}
"""The columns that are read, by the vendor's names; files of indices lack the last three."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BLOCK_BYTES: Final = 1 << 20
_MAX_HEADER_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class CsvText:
    """The text of a flat file on disk.

    Args:
        path: where it is.
        columns: the names in its first line.
        lines: how many lines follow the first.
        new_line: the end of its lines, as DuckDB writes it.
        quote: the character around values, or none.
    """

    path: Path
    columns: tuple[str, ...]
    lines: int
    new_line: str
    quote: str

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of columns that are not read."""
        return tuple(name for name in self.columns if name not in TYPES)


def unpacked(file: OpenFile, folder: Path, interruption: Interruption, max_bytes: int) -> CsvText:
    """Unpack a flat file into ``folder`` and read its first line.

    All of it is unpacked before a row is read, because its checksum is at its end.

    Args:
        file: the staged file.
        folder: where the text is written.
        interruption: ends the work from another thread.
        max_bytes: the maximum unpacked size.

    Raises:
        UnreadableFile: it is not gzip data, cut off or damaged, or its first line lacks a column.
        TooLargeUnpacked: it unpacks to more than ``max_bytes``.
        OSError: it cannot be read, or unpacked.
    """
    with file.path.open("rb") as packed:
        beginning = packed.read(40)
    if not beginning.startswith(_GZIP_MAGIC):
        raise UnreadableFile(file.name, f"expected gzip data, but the file begins with {beginning!r}")
    path = folder / "flat.csv"
    try:
        lines = _unpack(file, path, interruption, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        size_bytes = path.stat().st_size
        problem = f"its gzip data is cut off or damaged after {size_bytes} bytes of text ({error})"
        raise UnreadableFile(file.name, problem) from error
    with path.open("rb") as text:
        header = text.readline(_MAX_HEADER_BYTES)
    columns = _columns(file.name, header)
    new_line = r"\r\n" if header.endswith(b"\r\n") else r"\n"
    return CsvText(path, columns, lines - 1, new_line, '"' if b'"' in header else "")


def _unpack(file: OpenFile, path: Path, interruption: Interruption, max_bytes: int) -> int:
    """Unpack a file and return how many lines it has."""
    size = lines = 0
    last = b"\n"
    with gzip.open(file.path, "rb") as packed, path.open("wb") as out:
        while block := packed.read(_BLOCK_BYTES):
            interruption.check()
            size += len(block)
            if size > max_bytes:
                raise TooLargeUnpacked(file.name, max_bytes)
            lines += block.count(b"\n")
            last = block[-1:]
            out.write(block)
    return lines + (last != b"\n")


def _columns(name: str, header: bytes) -> tuple[str, ...]:
    """Return the names in the first line.

    Raises:
        UnreadableFile: it lacks one, or has one twice.
    """
    try:
        return columns_of(header)
    except ValueError as error:
        raise UnreadableFile(name, str(error)) from error
