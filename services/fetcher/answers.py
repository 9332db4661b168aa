"""What an answer of the source means: statuses, redirects and first bytes, decided from values alone."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from services.fetcher.errors import (
    NotAHistoryFile,
    SignatureRejected,
    SourceBusy,
    SourceMissing,
    SourceRefused,
    UnusableAnswer,
)
from shared.errors import GexlakeError
from shared.sources import SourceGate

MAX_REDIRECTS: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BUSY: Final = frozenset({408, 425, 429})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"


def host_of(url: str) -> str:
    """Return how messages name the source of a URL: by scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


def refusal(host: str, status: int) -> GexlakeError | None:
    """Return the error that a status means, or None for 200."""
    if status == 200:
        return None
    if status in {401, 403}:
        return SignatureRejected(host, status)
    if status in {404, 410}:
        return SourceMissing(host, f"it answered {status}")
    if status in _BUSY or status >= 500:
        return SourceBusy(host, status)
    return UnusableAnswer(host, f"answered {status}")


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
        SourceRefused: it leads to where the fetcher may not go; never to a local file.
    """
    host = host_of(url)
    if not location:
        raise UnusableAnswer(host, "redirects without saying where to")
    try:
        target = urljoin(url, location)
        scheme = gate.check(target).scheme
    except ValueError as error:
        raise SourceRefused(f"{host} redirects to a URL that is not allowed: {error}") from error
    if scheme == "file":
        raise SourceRefused(f"{host} redirects to a local file, which is not allowed")
    return target


def check_first_bytes(source: str, name: str, first: bytes) -> None:
    """Check that a file begins as its name promises.

    Args:
        source: how to name where it came from.
        name: the file's name; ``.gz`` promises gzip, anything else plain JSON.
        first: the first block of it, at least four bytes if it has as many.

    Raises:
        NotAHistoryFile: it does not; nothing of its content is told, it may repeat the signed URL.
    """
    begins = first.removeprefix(_BOM).lstrip(_BLANKS)[:1]
    is_gzip, promises_gzip = first.startswith(_GZIP_MAGIC), name.endswith(".gz")
    if is_gzip if promises_gzip else begins in {b"[", b"{"}:
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
