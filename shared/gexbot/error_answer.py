"""The vendor's errors: ``{"error": …}``, also with status 200, and in place of a file."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_ERROR_BYTES: Final = 4096
"""A longer document is not taken for an error."""
_MAX_SHOWN: Final = 120
_NOT_PLAIN: Final = re.compile(r"[^\x20-\x7e]+")
_MAY_BE_SECRET: Final = re.compile(r"\S*[:/?=&%@<>]\S*|\S{25,}")
"""A word that may be of a signed URL, or a key."""


def error_in(content: bytes) -> str | None:
    """Return the text of the vendor's error, or None if the content is something else.

    Words that may be part of a URL or a key are left out.
    """
    try:
        document = json.loads(content) if len(content) <= MAX_ERROR_BYTES else None
    except (ValueError, RecursionError):
        return None
    return error_of(document)


def error_of(document: Any) -> str | None:
    """Return the text of the vendor's error, or None if a parsed document is something else."""
    if not isinstance(document, dict) or "error" not in document or "timestamp" in document:
        return None
    error = document["error"]
    text = error if isinstance(error, str) else json.dumps(error)
    plain = _MAY_BE_SECRET.sub("...", _NOT_PLAIN.sub(" ", text)).strip()
    return plain[:_MAX_SHOWN] or "no text"
