"""Decide what a response of a source means: status, headers, redirect, first bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from services.fetcher.errors import (
    NotAHistoryFile,
    SignatureRejected,
    SourceBusy,
    SourceMissing,
    SourceRefused,
    UnusableAnswer,
)
from services.fetcher.sources.source import Chunk
from shared.errors import GexlakeError
from shared.sources.gate import SourceGate
from shared.sources.record import origin_of

MAX_REDIRECTS: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BUSY: Final = frozenset({408, 425, 429})
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_FIT_TYPES: Final = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/ndjson",
        "application/x-ndjson",
        "application/jsonlines",
        "application/gzip",
        "application/x-gzip",
        "application/octet-stream",
        "binary/octet-stream",
        "text/csv",
        "text/json",
        "text/plain",
    }
)
"""Allowed media types of a history file, besides none; the first bytes are checked as well."""
_FIT_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"
_CLOSING: Final = {b"[": b"]", b"{": b"}"}
_TAIL_BYTES: Final = 256


def host_of(url: str) -> str:
    """Return the source of a URL for messages: scheme, host and a non-default port."""
    parts = urlsplit(url)
    return origin_of(url) or f"{parts.scheme}://{parts.hostname or ''}"


def error_for_status(host: str, status: int, retry_after_s: float | None = None) -> GexlakeError | None:
    """Return the error that a status means, or None for 200.

    Args:
        host: the source, for the message.
        status: the status of the response.
        retry_after_s: its ``Retry-After`` in seconds, if it sent one.
    """
    if status == 200:
        return None
    if status in {401, 403}:
        return SignatureRejected(host, status)
    if status in {404, 410}:
        return SourceMissing(host, f"it answered {status}")
    if status in _BUSY or status >= 500:
        return SourceBusy(host, status, retry_after_s)
    return UnusableAnswer(host, f"answered {status}")


def max_response_s(connect_s: float, read_s: float) -> float:
    """Return the maximum time until the head of a response, redirects included.

    Args:
        connect_s: the maximum time to resolve and connect, and again for the TLS handshake.
        read_s: how long the source may send nothing.
    """
    return 2 * connect_s + read_s


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return a ``Retry-After`` in seconds from now; None if it is missing or malformed.

    Args:
        value: seconds, or an HTTP date.
        now: the current time (UTC).
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    in_utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (in_utc - now).total_seconds())


def check_headers(host: str, headers: Mapping[str, str]) -> None:
    """Check that the headers of a response announce a file, plain or gzip.

    Storage services label a gzip file with a content encoding, too. It is not undone: the bytes are stored as
    they are sent, and the importer recognizes gzip data by its first bytes.

    Raises:
        UnusableAnswer: the media type is not one of a file, or the body has another content encoding.
    """
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _FIT_ENCODINGS:
        raise UnusableAnswer(host, "sent a compressed response (Content-Encoding), expected identity or gzip")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and kind not in _FIT_TYPES and not kind.endswith("+json"):
        shown = kind if _MEDIA_TYPE.fullmatch(kind) else "something unreadable"
        raise UnusableAnswer(host, f"sent {shown} (Content-Type)")


def check_url(gate: SourceGate, url: str) -> SplitResult:
    """Return the parts of a URL if the gate allows it.

    Raises:
        SourceRefused: it is not allowed.
    """
    try:
        return gate.check(url)
    except ValueError as error:
        raise SourceRefused(str(error)) from error


def redirect_target(gate: SourceGate, url: str, location: str | None) -> str:
    """Return the target of a redirect.

    Raises:
        UnusableAnswer: there is no target.
        SourceRefused: the gate does not allow the target.
    """
    host = host_of(url)
    if not location:
        raise UnusableAnswer(host, "redirects without saying where to")
    try:
        return gate.follow(url, location)
    except ValueError as error:
        raise SourceRefused(f"{host} redirects to a URL that is not allowed: {error}") from error


def is_gzip(first: bytes) -> bool:
    """Return whether a file is gzip data, by its first two bytes: the vendor's names are not reliable."""
    return first.startswith(_GZIP_MAGIC)


def check_first_bytes(source: str, name: str, first: bytes) -> None:
    """Check that a plain file, or an unpacked one, begins as JSON does.

    Args:
        source: the source, for the message.
        name: the file's name, for the message.
        first: its first bytes, at least four unless the file is shorter.

    Raises:
        NotAHistoryFile: it is something else; it is not quoted, because it may contain the signed URL.
    """
    begins = _first_byte(first)
    if begins in _CLOSING:
        return
    if begins == b"<":
        what = "is a web page or XML, not JSON"
    elif is_gzip(first):
        what = "is compressed twice"
    else:
        what = "is not JSON: it begins with neither [ nor {"
    raise NotAHistoryFile(source, name, what)


def closing_bracket(first: bytes) -> bytes:
    """Return the bracket that a plain JSON file must end with, by its first block."""
    return _CLOSING.get(_first_byte(first), b"")


def last_byte(block: Chunk) -> bytes:
    """Return the last byte of a block that is not a blank; empty if there is none."""
    for end in range(len(block), 0, -_TAIL_BYTES):
        if signs := bytes(block[max(0, end - _TAIL_BYTES) : end]).rstrip(_BLANKS):
            return signs[-1:]
    return b""


def _first_byte(first: bytes) -> bytes:
    return first.removeprefix(_BOM).lstrip(_BLANKS)[:1]
