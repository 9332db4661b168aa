"""Translate the errors of httpx: one table for each meaning, every error in exactly one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from services.fetcher.errors import SourceRefused, SourceUnavailable, SourceUnreachable, UnusableAnswer
from shared.errors import GexlakeError

UNREACHABLE: Final[dict[type[Exception], str]] = {
    httpx.ConnectError: "could not be reached",
    httpx.ConnectTimeout: "did not accept a connection in time",
}
"""Errors of httpx that mean that there is no connection; a failed TLS handshake is no such error."""

UNAVAILABLE: Final[dict[type[Exception], str]] = {
    httpx.TransportError: "could not be reached",
    httpx.NetworkError: "could not be reached",
    httpx.ProxyError: "could not be reached",
    httpx.ReadError: "broke off the connection",
    httpx.WriteError: "broke off the connection",
    httpx.CloseError: "broke off the connection",
    httpx.ProtocolError: "broke off the connection or did not speak HTTP",
    httpx.RemoteProtocolError: "broke off the connection or did not speak HTTP",
    httpx.TimeoutException: "did not answer in time",
    httpx.ReadTimeout: "sent nothing for too long",
    httpx.WriteTimeout: "did not take the request in time",
    httpx.PoolTimeout: "had no free connection in time",
}
"""Errors of httpx after which a retry may succeed, and what the message says of the source."""

UNUSABLE: Final[dict[type[Exception], str]] = {
    httpx.HTTPError: "gave an answer that cannot be used",
    httpx.RequestError: "gave an answer that cannot be used",
    httpx.HTTPStatusError: "gave an answer that cannot be used",
    httpx.DecodingError: "gave an answer that cannot be decoded",
    httpx.TooManyRedirects: "redirects again and again",
    httpx.CookieConflict: "sent cookies that contradict one another",
}
"""Errors of httpx after which a retry cannot succeed."""

REFUSED: Final[dict[type[Exception], str]] = {
    httpx.InvalidURL: "the URL is malformed",
    httpx.UnsupportedProtocol: "the URL's scheme is not supported",
    httpx.LocalProtocolError: "the URL cannot be put into a request",
}
"""Errors of httpx that the URL causes."""

MISUSE: Final = frozenset(
    {
        httpx.StreamError,
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
    }
)
"""Errors of httpx that only a mistake in the fetcher could cause: not translated."""


@contextmanager
def translate_errors(host: str) -> Iterator[None]:
    """Raise the fetcher's error for an error of httpx.

    Raises:
        Terminal: a retry cannot succeed.
        Transient: a retry may succeed; ``SourceUnreachable`` without a connection.
    """
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
        raise translate(error, host) from error


def translate(error: Exception, host: str) -> GexlakeError:
    """Return the fetcher's error for an error of httpx; only the text of the operating system is kept."""
    for kind in type(error).__mro__:
        if kind in UNREACHABLE:
            unavailable = SourceUnavailable if _is_of_tls(error) else SourceUnreachable
            return unavailable(host, f"{UNREACHABLE[kind]}{_cause(error)}")
        if kind in UNAVAILABLE:
            return SourceUnavailable(host, f"{UNAVAILABLE[kind]}{_cause(error)}")
        if kind in REFUSED:
            return SourceRefused(REFUSED[kind])
        if kind in UNUSABLE:
            return UnusableAnswer(host, UNUSABLE[kind])
    raise TypeError(f"{type(error).__name__} is no error of a request") from error


def _is_of_tls(error: BaseException | None) -> bool:
    """Return whether a connection was made, and the certificate or the handshake was refused."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cause(error: Exception) -> str:
    """Return the reason of a failed connection in brackets; it contains no URL."""
    text = str(error) if isinstance(error, httpx.ConnectError) else ""
    return f" ({text})" if text else ""
