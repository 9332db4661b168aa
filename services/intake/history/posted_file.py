"""Read the file that a client posts inline, as ``raw_body``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Self

from services.intake.errors import Unprocessable
from services.intake.history.body_fields import RAW_BODY, BodyFields
from shared.bus.storage import posted_files
from shared.gexbot.trading_day import trading_day_of

_FIRST_TIMESTAMP: Final = re.compile(r'"timestamp"\s*:\s*(\d{1,12}(?:\.\d+)?)')
_FIRST_CHARS: Final = 64 * 1024


@dataclass(frozen=True)
class PostedFile:
    """A file that a client posts inline."""

    packed: bytes = field(repr=False)
    sha256: str
    trading_day: date | None
    """That of the first record, if the file begins with one."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Pack a file.

        Raises:
            Unprocessable: it is empty, or too large even when it is packed.
        """
        if not text.strip():
            raise Unprocessable(
                RAW_BODY, "missing", "raw_body: it is empty; leave it out to have the URL fetched"
            )
        content = text.encode()
        packed = posted_files.pack(content)
        if len(packed) > posted_files.MAX_PACKED_BYTES:
            message = (
                f"raw_body: it packs to {len(packed)} bytes, the limit is {posted_files.MAX_PACKED_BYTES}; "
                "save it as a file and post its file:// URL"
            )
            raise Unprocessable(RAW_BODY, "size", message)
        return cls(packed, hashlib.sha256(content).hexdigest(), _first_day(text))


def read_posted_file(fields: BodyFields) -> PostedFile | None:
    """Return the file in ``raw_body``, or None.

    Raises:
        Unprocessable: it is no string, empty, or too large even when it is packed.
    """
    text = fields.values.get(RAW_BODY)
    if text is None:
        return None
    if not isinstance(text, str):
        raise Unprocessable(RAW_BODY, "string", "raw_body: it must be a string with the text of the file")
    return PostedFile.of(text)


def _first_day(text: str) -> date | None:
    """Return the trading day of a file's first record; None if it is not to be found at its beginning."""
    match = _FIRST_TIMESTAMP.search(text, 0, _FIRST_CHARS)
    try:
        return trading_day_of(round(float(match[1]) * 1000)) if match else None
    except (ValueError, OverflowError, OSError):
        return None
