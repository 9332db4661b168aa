"""What a file's bytes say while they come in: a checksum, and whether they are what its name promises."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from services.fetcher.errors import FileTooLarge, NotAHistoryFile
from services.fetcher.sources.response_policy import check_first_bytes, closing_of, last_sign
from services.fetcher.sources.source import Chunk

_GZIP: Final = 16 + zlib.MAX_WBITS
_STEP_BYTES: Final = 256 * 1024
"""How much is inflated at once; nobody sees it, it is only counted."""
_PIECE_BYTES: Final = 64 * 1024
"""How much is handed to zlib at once: it hands back, in a copy, what it does not use of it."""


class Content:
    """The bytes of one file, taken in order. They are not kept.

    Args:
        name: the file's; ``.gz`` promises gzip, anything else plain JSON.
        max_bytes: how many a ``.gz`` may inflate to.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self.size_bytes = 0
        self._name = name
        self._sha256 = hashlib.sha256()
        self._gzip = Gzip(name, max_bytes) if name.endswith(".gz") else None
        self._last = self._closing = b""

    @property
    def sha256(self) -> str:
        """The checksum of what was taken."""
        return self._sha256.hexdigest()

    def take(self, source: str, block: Chunk) -> None:
        """Take the next bytes; the first ones must be at least four if the file has as many.

        Raises:
            NotAHistoryFile: they are not what the name promises.
            FileTooLarge: they inflate to more than is allowed.
        """
        if self.size_bytes == 0:
            check_first_bytes(source, self._name, bytes(block))
            self._closing = closing_of(bytes(block))
        self._sha256.update(block)
        self.size_bytes += len(block)
        if self._gzip:
            self._gzip.take(source, block)
        else:
            self._last = last_sign(block) or self._last

    def end(self, source: str) -> None:
        """Check that the file may end here.

        Raises:
            NotAHistoryFile: it is empty, or a gzip that breaks off. Of JSON the importer says more.
        """
        if self.size_bytes == 0:
            raise NotAHistoryFile(source, self._name, "is empty")
        if self._gzip and not self._gzip.at_end:
            raise NotAHistoryFile(source, self._name, "is a broken gzip: it breaks off")

    @property
    def is_whole(self) -> bool:
        """Whether the file may end here; of plain JSON only the bracket that it ends in is looked at."""
        return self._gzip.at_end if self._gzip else self._last == self._closing


class Gzip:
    """Inflates as it comes and counts, but keeps nothing: a bomb costs time up to the limit and no space.

    Several members may follow one another, and zeros the last one (RFC 1952, and what ``gzip`` accepts).
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = name
        self._max_bytes = max_bytes
        self._inflated_bytes = 0
        self._member = zlib.decompressobj(_GZIP)
        self._is_begun = False

    @property
    def at_end(self) -> bool:
        """Whether all members that were begun are complete."""
        return not self._is_begun

    def take(self, source: str, block: Chunk) -> None:
        """Inflate the next bytes.

        Raises:
            NotAHistoryFile: they are not gzip.
            FileTooLarge: they inflate to more than is allowed.
        """
        for start in range(0, len(block), _PIECE_BYTES):
            rest = bytes(block[start : start + _PIECE_BYTES])
            while rest := self._inflate(source, rest):
                pass

    def _inflate(self, source: str, packed: bytes) -> bytes:
        """Inflate a step and return what was not used of ``packed``."""
        if self.at_end:
            # A first member there must be, whatever it begins with.
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
