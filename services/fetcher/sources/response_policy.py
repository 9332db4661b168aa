"""What an answer of the source means (status, headers, redirect, first bytes), decided from values alone."""

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
        "text/json",
        "text/plain",
    }
)
"""Media types that a history file may come as; the first bytes tell the rest. No type at all is as good."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"
_CLOSING: Final = {b"[": b"]", b"{": b"}"}
_TAIL_BYTES: Final = 256


def host_of(url: str) -> str:
    """Return how messages name the source of a URL: by scheme, host and an odd port."""
    parts = urlsplit(url)
    return origin_of(url) or f"{parts.scheme}://{parts.hostname or ''}"


def refusal(host: str, status: int, retry_after_s: float | None = None) -> GexlakeError | None:
    """Return the error that a status means, or None for 200.

    Args:
        host: how to name the source.
        status: of its answer.
        retry_after_s: in how many seconds it asks to be asked again, if it does.
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


def slowest_answer_s(connect_s: float, read_s: float) -> float:
    """Return how long the head of an answer may take, redirects included.

    Args:
        connect_s: how long finding and connecting may take, and again the handshake of TLS.
        read_s: how long the source may say nothing.
    """
    return 2 * connect_s + read_s


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return what a ``Retry-After`` means in seconds from now; None if it is missing or cannot be read.

    Args:
        value: seconds, or a date of HTTP.
        now: the present moment (UTC).
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
    """Check that the headers of an answer announce a file as it is stored.

    Raises:
        UnusableAnswer: they announce a web page, XML or the like, or a body that was compressed on its way.
    """
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise UnusableAnswer(host, "compressed its answer (Content-Encoding) though it was asked not to")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and kind not in _FIT_TYPES and not kind.endswith("+json"):
        shown = kind if _MEDIA_TYPE.fullmatch(kind) else "something unreadable"
        raise UnusableAnswer(host, f"sent {shown} (Content-Type)")


def check_source(gate: SourceGate, url: str) -> SplitResult:
    """Return the parts of a URL that may be asked.

    Raises:
        SourceRefused: it may not.
    """
    try:
        return gate.check(url)
    except ValueError as error:
        raise SourceRefused(str(error)) from error


def redirect_target(gate: SourceGate, url: str, location: str | None) -> str:
    """Return where a redirect leads.

    Raises:
        UnusableAnswer: it leads nowhere.
        SourceRefused: it leads to where the fetcher may not go: elsewhere, inward, or to less than https.
    """
    host = host_of(url)
    if not location:
        raise UnusableAnswer(host, "redirects without saying where to")
    try:
        return gate.follow(url, location)
    except ValueError as error:
        raise SourceRefused(f"{host} redirects to a URL that is not allowed: {error}") from error


def check_first_bytes(source: str, name: str, first: bytes) -> None:
    """Check that a file begins as its name promises.

    Args:
        source: how to name where it came from.
        name: the file's name; ``.gz`` promises gzip, anything else plain JSON.
        first: the first block of it, at least four bytes if it has as many.

    Raises:
        NotAHistoryFile: it does not; nothing of its content is told, it may repeat the signed URL.
    """
    begins = _first_sign(first)
    is_gzip, promises_gzip = first.startswith(_GZIP_MAGIC), name.endswith(".gz")
    if is_gzip if promises_gzip else begins in _CLOSING:
        return
    if begins == b"<":
        what = "is a web page or XML, not JSON"
    elif promises_gzip:
        what = "is not compressed, though the name ends in .gz"
    elif is_gzip:
        what = "is compressed, though the name lacks .gz"
    else:
        what = "is not JSON: it begins with neither [ nor {"
    raise NotAHistoryFile(source, name, what)


def closing_of(first: bytes) -> bytes:
    """Return the bracket that a file of plain JSON must end in, by its first block."""
    return _CLOSING.get(_first_sign(first), b"")


def last_sign(block: Chunk) -> bytes:
    """Return the last byte of a block that is no blank; nothing if there is none."""
    for end in range(len(block), 0, -_TAIL_BYTES):
        if signs := bytes(block[max(0, end - _TAIL_BYTES) : end]).rstrip(_BLANKS):
            return signs[-1:]
    return b""


def _first_sign(first: bytes) -> bytes:
    return first.removeprefix(_BOM).lstrip(_BLANKS)[:1]
