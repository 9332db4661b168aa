"""Request the rest of a file and check that a response is that rest (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.fetcher.sources.source import ResumePoint

_STRONG_ETAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_LENGTH: Final = re.compile(r"\d{1,18}", re.ASCII)


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the strong entity tag of a response, with its quotes; None if it has none or a weak one."""
    value = headers.get("ETag", "")
    return value if _STRONG_ETAG.fullmatch(value) else None


def length(headers: Mapping[str, str]) -> int | None:
    """Return the announced size of the body in bytes; None if there is none."""
    value = headers.get("Content-Length", "")
    return int(value) if _LENGTH.fullmatch(value) else None


def range_request(resume_from: ResumePoint) -> dict[str, str]:
    """Return the headers that request the rest if the file is unchanged, else the whole."""
    return {"Range": f"bytes={resume_from.size_bytes}-", "If-Range": resume_from.etag}


def total_of_rest(headers: Mapping[str, str], resume_from: ResumePoint) -> int | None:
    """Return the size of the whole file if a 206 has exactly the requested rest.

    Returns:
        None if the entity tag, start, end or size is missing or differs.
    """
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or strong_etag(headers) != resume_from.etag:
        return None
    first, last, total = (int(number) for number in match.groups())
    as_asked = first == resume_from.size_bytes and last == total - 1 and first <= last
    same_size = resume_from.total_bytes in {None, total}
    return total if as_asked and same_size and length(headers) in {None, last - first + 1} else None
