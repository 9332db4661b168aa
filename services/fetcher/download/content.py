"""Hash a file as it arrives, and check its content."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from services.fetcher.errors import ErrorInsteadOfFile, FileTooLarge, NotAHistoryFile
from services.fetcher.sources.response_policy import check_first_bytes, closing_bracket, is_gzip, last_byte
from services.fetcher.sources.source import Chunk
from shared.gexbot.error_answer import MAX_ERROR_BYTES, error_in
from shared.massive import flat_files

HEAD_BYTES: Final = MAX_ERROR_BYTES + 1
"""How much of the beginning is kept: a file of which this is all may be an error of the vendor."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_STEP_BYTES: Final = 256 * 1024
"""How much is inflated at once; the output is only counted."""
_PIECE_BYTES: Final = 64 * 1024
"""The size of zlib's input; it copies the input that it does not use."""


class Content:
    """The checksum and the checks of one file's bytes, which are not kept.

    Args:
        name: the file's name, for messages, and whether it is JSON or a flat file of Massive; the first two
            bytes decide whether it is gzip data.
        max_bytes: the maximum inflated size of gzip data.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self.size_bytes = 0
        self._name = name
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self._is_flat_file = name.endswith(flat_files.ENDING)
        self._is_header_checked = False
        self._gzip: Gzip | None = None
        self._head = bytearray()
        self._last = self._closing = b""

    @property
    def sha256(self) -> str:
        """The checksum of the bytes so far."""
        return self._sha256.hexdigest()

    def update(self, source: str, block: Chunk) -> None:
        """Add the next bytes; the first block has at least four unless the file is shorter.

        Raises:
            NotAHistoryFile: the content is not that of a history file, or of a flat file.
            FileTooLarge: the inflated size exceeds the maximum.
        """
        if self.size_bytes == 0:
            self._begin(source, bytes(block))
        self._sha256.update(block)
        self.size_bytes += len(block)
        if self._gzip:
            self._gzip.update(source, block)
            if self._is_flat_file and b"\n" in self._gzip.head:
                self._check_header(source)
        else:
            self._last = last_byte(block) or self._last
            self._head += block[: HEAD_BYTES - len(self._head)]

    def _begin(self, source: str, first: bytes) -> None:
        if is_gzip(first):
            self._gzip = Gzip(self._name, self._max_bytes)
        elif self._is_flat_file:
            raise NotAHistoryFile(source, self._name, "is not gzip data")
        else:
            check_first_bytes(source, self._name, first)
            self._closing = closing_bracket(first)

    def _check_header(self, source: str) -> None:
        """Check the first line of a flat file, once."""
        if self._is_header_checked or self._gzip is None:
            return
        try:
            flat_files.columns_of(bytes(self._gzip.head).partition(b"\n")[0])
        except ValueError as error:
            raise NotAHistoryFile(source, self._name, f"is no flat file: {error}") from error
        self._is_header_checked = True

    def finish(self, source: str) -> None:
        """Check that the file is not empty or an error and, for gzip, complete; the importer checks the rest.

        Raises:
            NotAHistoryFile: it is empty, an incomplete gzip, or a gzip of something else than expected.
            ErrorInsteadOfFile: it is an error of the vendor.
        """
        if self.size_bytes == 0:
            raise NotAHistoryFile(source, self._name, "is empty")
        if self._gzip and not self._gzip.at_end:
            raise NotAHistoryFile(source, self._name, "is a broken gzip: it breaks off")
        if self._is_flat_file:
            self._check_header(source)
            return
        head = bytes(self._gzip.head if self._gzip else self._head)
        if head:
            check_first_bytes(source, self._name, head)
        if len(head) < HEAD_BYTES and (error := error_in(head)):
            raise ErrorInsteadOfFile(source, self._name, error)

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
        self.head = bytearray()
        """The first inflated bytes."""

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
            inflated = self._member.decompress(packed, _STEP_BYTES)
        except zlib.error as error:
            raise NotAHistoryFile(source, self._name, "is a broken gzip") from error
        self._inflated_bytes += len(inflated)
        self.head += inflated[: HEAD_BYTES - len(self.head)]
        if self._inflated_bytes > self._max_bytes:
            raise FileTooLarge(source, self._inflated_bytes, self._max_bytes, inflated=True)
        self._is_begun = not self._member.eof
        return self._member.unused_data if self._member.eof else self._member.unconsumed_tail
