"""Ask for the rest of a file, and tell whether an answer is just that (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.fetcher.sources.source import Held

_STRONG_ETAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_LENGTH: Final = re.compile(r"\d{1,18}", re.ASCII)


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the strong entity tag of an answer, in its quotes; None if it has none or a weak one."""
    value = headers.get("ETag", "")
    return value if _STRONG_ETAG.fullmatch(value) else None


def length(headers: Mapping[str, str]) -> int | None:
    """Return how many bytes the body has as announced; None if it is not."""
    value = headers.get("Content-Length", "")
    return int(value) if _LENGTH.fullmatch(value) else None


def range_request(held: Held) -> dict[str, str]:
    """Return the headers that ask for the rest if the file is unchanged, else for the whole."""
    return {"Range": f"bytes={held.size_bytes}-", "If-Range": held.etag}


def total_of_rest(headers: Mapping[str, str], held: Held) -> int | None:
    """Return the size of the whole file if a 206 holds the rest that was asked for, to its last byte.

    Returns:
        None when there is any doubt: another entity tag, another start, end or size, or none of them.
    """
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or strong_etag(headers) != held.etag:
        return None
    first, last, total = (int(number) for number in match.groups())
    as_asked = first == held.size_bytes and last == total - 1 and first <= last
    same_size = held.total_bytes in {None, total}
    return total if as_asked and same_size and length(headers) in {None, last - first + 1} else None
