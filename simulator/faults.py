"""Responses of the fake vendor: correct ones, with ranges and entity tags, and injected faults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

_OPEN_RANGE: Final = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Fault:
    """What is wrong with the responses for one file; the defaults are a correct response."""

    status: int | None = None
    """Respond with this status instead of 200, and a short text as the body."""
    redirect_to: str | None = None
    """Respond with ``status`` (302 by default) and this URL as ``Location``."""
    raw_response: bytes | None = None
    """Send these bytes, possibly none, in place of an HTTP response and close the connection."""
    cut_after_bytes: int | None = None
    """Close the connection after this many bytes of the body."""
    hold_after_bytes: int | None = None
    """Send this many bytes of the body, then nothing until ``Vendor.release()``."""
    bytes_per_s: float | None = None
    content_type: str = "application/json"
    content_length: bool = True
    """False: the body ends with the connection."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to add or replace; one with an empty value is not sent."""
    ranges: bool = True
    """False: every response is the whole file."""
    if_range: bool = True
    """False: a part is sent even if the file has changed."""
    times: int | None = None
    """How many requests are affected, the first ones; None: all."""


@dataclass(frozen=True)
class FileResponse:
    """The status and headers of a response with (a part of) a file, and the offset it starts at."""

    status: HTTPStatus
    headers: dict[str, str]
    start: int


def response_to(file: os.stat_result, request_headers: Mapping[str, str], fault: Fault) -> FileResponse:
    """Return the response to a request for a file.

    Args:
        file: the status of the file.
        request_headers: the headers of the request, their names in lower case.
        fault: the injected fault.
    """
    size, etag = file.st_size, f'"{file.st_mtime_ns:x}-{file.st_size:x}"'
    status, start = HTTPStatus.OK, 0
    requested = _OPEN_RANGE.fullmatch(request_headers.get("range", "")) if fault.ranges else None
    if requested and (not fault.if_range or request_headers.get("if-range", etag) == etag):
        start = int(requested[1])
        status = HTTPStatus.PARTIAL_CONTENT if start < size else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    headers = {"Content-Type": fault.content_type, "ETag": etag}
    if status is HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    if fault.content_length:
        headers["Content-Length"] = str(max(0, size - start))
    else:
        headers["Connection"] = "close"
    return FileResponse(status, {**headers, **fault.headers}, start)
