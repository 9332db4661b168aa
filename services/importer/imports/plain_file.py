"""Unpack a staged file that is gzip data."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Final

from services.importer.errors import UnreadableFile
from services.importer.interruption import Interruption
from services.importer.reader.source import OpenFile

_BLOCK_BYTES: Final = 1 << 20


def plain_file(file: OpenFile, folder: Path, interruption: Interruption) -> Path:
    """Return the path of a staged file, or of its content unpacked into ``folder`` if it is gzip data.

    Raises:
        UnreadableFile: its gzip data is damaged.
        OSError: it cannot be read, or unpacked.
    """
    if not file.is_packed:
        return file.path
    plain = folder / "plain.json"
    try:
        with gzip.open(file.path, "rb") as packed, plain.open("wb") as out:
            while block := packed.read(_BLOCK_BYTES):
                interruption.check()
                out.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(file.name, f"its gzip data is cut off or damaged ({error})") from error
    return plain
