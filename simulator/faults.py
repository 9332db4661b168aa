"""How the vendor's stand-in answers: rightly, with ranges and entity tags, or wrongly as it is told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

_FROM_ON: Final = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Misbehaviour:
    """How the answers for one name go wrong; what is not set goes right."""

    status: int | None = None
    """Answer this instead of 200, with a short text as the body."""
    redirect_to: str | None = None
    """Answer ``status`` (302 by default) with this URL as ``Location``."""
    instead: bytes | None = None
    """Send these bytes instead of any answer, maybe none, and close the connection."""
    cut_after_bytes: int | None = None
    """Close the connection after so many bytes of the body."""
    hold_after_bytes: int | None = None
    """Send so many bytes of the body, then nothing more until ``Vendor.release()``."""
    bytes_per_s: float | None = None
    content_type: str = "application/json"
    content_length: bool = True
    """False: the end of the body shows only by the end of the connection."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """These in addition, or instead; an empty one is not sent."""
    ranges: bool = True
    """False: every answer is the whole file."""
    if_range: bool = True
    """False: a part is sent even of a file that has changed."""
    times: int | None = None
    """Only the first so many requests go wrong; None: all of them."""


@dataclass(frozen=True)
class Answer:
    """The head of an answer that has (a part of) a file, and from where in it."""

    status: HTTPStatus
    headers: dict[str, str]
    start: int


def answer_of(file: os.stat_result, asked: Mapping[str, str], behaviour: Misbehaviour) -> Answer:
    """Return how a request for a file is answered.

    Args:
        file: what the folder has.
        asked: the headers of the request, their names in lower case.
        behaviour: how the answer goes wrong.
    """
    size, etag = file.st_size, f'"{file.st_mtime_ns:x}-{file.st_size:x}"'
    status, start = HTTPStatus.OK, 0
    wanted = _FROM_ON.fullmatch(asked.get("range", "")) if behaviour.ranges else None
    if wanted and (not behaviour.if_range or asked.get("if-range", etag) == etag):
        start = int(wanted[1])
        status = HTTPStatus.PARTIAL_CONTENT if start < size else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    headers = {"Content-Type": behaviour.content_type, "ETag": etag}
    if status is HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    if behaviour.content_length:
        headers["Content-Length"] = str(max(0, size - start))
    else:
        headers["Connection"] = "close"
    return Answer(status, {**headers, **behaviour.headers}, start)
