"""Hash a file as it arrives, and check its content against its name."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from services.fetcher.errors import FileTooLarge, NotAHistoryFile
from services.fetcher.sources.response_policy import check_first_bytes, closing_bracket, last_byte
from services.fetcher.sources.source import Chunk

_GZIP: Final = 16 + zlib.MAX_WBITS
_STEP_BYTES: Final = 256 * 1024
"""How much is inflated at once; the output is only counted."""
_PIECE_BYTES: Final = 64 * 1024
"""The size of zlib's input; it copies the input that it does not use."""


class Content:
    """The checksum and the checks of one file's bytes, which are not kept.

    Args:
        name: the file's name; ``.gz`` means gzip, anything else plain JSON.
        max_bytes: the maximum inflated size of a ``.gz``.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self.size_bytes = 0
        self._name = name
        self._sha256 = hashlib.sha256()
        self._gzip = Gzip(name, max_bytes) if name.endswith(".gz") else None
        self._last = self._closing = b""

    @property
    def sha256(self) -> str:
        """The checksum of the bytes so far."""
        return self._sha256.hexdigest()

    def update(self, source: str, block: Chunk) -> None:
        """Add the next bytes; the first block has at least four unless the file is shorter.

        Raises:
            NotAHistoryFile: the content does not match the name.
            FileTooLarge: the inflated size exceeds the maximum.
        """
        if self.size_bytes == 0:
            check_first_bytes(source, self._name, bytes(block))
            self._closing = closing_bracket(bytes(block))
        self._sha256.update(block)
        self.size_bytes += len(block)
        if self._gzip:
            self._gzip.update(source, block)
        else:
            self._last = last_byte(block) or self._last

    def finish(self, source: str) -> None:
        """Check that the file is not empty and, for gzip, complete; the importer checks JSON.

        Raises:
            NotAHistoryFile: it is empty, or an incomplete gzip.
        """
        if self.size_bytes == 0:
            raise NotAHistoryFile(source, self._name, "is empty")
        if self._gzip and not self._gzip.at_end:
            raise NotAHistoryFile(source, self._name, "is a broken gzip: it breaks off")

    @property
    def is_complete(self) -> bool:
        """Whether the file may be complete: a gzip at its end, or JSON that ends in its closing bracket."""
        return self._gzip.at_end if self._gzip else self._last == self._closing


class Gzip:
    """Inflates a gzip as it arrives and counts the bytes, so that a bomb takes no space.

    Several members may follow one another, and zeros the last one (RFC 1952, and as ``gzip`` accepts).
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = name
        self._max_bytes = max_bytes
        self._inflated_bytes = 0
        self._member = zlib.decompressobj(_GZIP)
        self._is_begun = False

    @property
    def at_end(self) -> bool:
        """Whether all members so far are complete."""
        return not self._is_begun

    def update(self, source: str, block: Chunk) -> None:
        """Inflate the next bytes.

        Raises:
            NotAHistoryFile: they are not gzip.
            FileTooLarge: the inflated size exceeds the maximum.
        """
        for start in range(0, len(block), _PIECE_BYTES):
            rest = bytes(block[start : start + _PIECE_BYTES])
            while rest := self._inflate(source, rest):
                pass

    def _inflate(self, source: str, packed: bytes) -> bytes:
        """Inflate one step and return the unused rest of ``packed``."""
        if self.at_end:
            # The first member is required; only after it may zeros follow.
            packed = packed.lstrip(b"\0") if self._member.eof else packed
            if not packed:
                return b""
            self._member = zlib.decompressobj(_GZIP)
            self._is_begun = True
        try:
            self._inflated_bytes += len(self._member.decompress(packed, _STEP_BYTES))
        except zlib.error as error:
            raise NotAHistoryFile(source, self._name, "is a broken gzip") from error
        if self._inflated_bytes > self._max_bytes:
            raise FileTooLarge(source, self._inflated_bytes, self._max_bytes, inflated=True)
        self._is_begun = not self._member.eof
        return self._member.unused_data if self._member.eof else self._member.unconsumed_tail
