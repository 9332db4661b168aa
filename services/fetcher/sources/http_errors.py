"""What the errors of httpx mean: one table a meaning, and each error in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from services.fetcher.errors import SourceRefused, SourceUnavailable, UnusableAnswer
from shared.errors import GexlakeError

UNAVAILABLE: Final[dict[type[Exception], str]] = {
    httpx.TransportError: "could not be reached",
    httpx.NetworkError: "could not be reached",
    httpx.ConnectError: "could not be reached",
    httpx.ProxyError: "could not be reached",
    httpx.ReadError: "broke off the connection",
    httpx.WriteError: "broke off the connection",
    httpx.CloseError: "broke off the connection",
    httpx.ProtocolError: "broke off the connection or did not speak HTTP",
    httpx.RemoteProtocolError: "broke off the connection or did not speak HTTP",
    httpx.TimeoutException: "did not answer in time",
    httpx.ConnectTimeout: "did not accept a connection in time",
    httpx.ReadTimeout: "sent nothing for too long",
    httpx.WriteTimeout: "did not take the request in time",
    httpx.PoolTimeout: "had no free connection in time",
}
"""Errors of httpx after which asking again may help, and what they say about the source."""

UNUSABLE: Final[dict[type[Exception], str]] = {
    httpx.HTTPError: "gave an answer that cannot be used",
    httpx.RequestError: "gave an answer that cannot be used",
    httpx.HTTPStatusError: "gave an answer that cannot be used",
    httpx.DecodingError: "gave an answer that cannot be decoded",
    httpx.TooManyRedirects: "redirects again and again",
    httpx.CookieConflict: "sent cookies that contradict one another",
}
"""Errors of httpx after which asking again cannot help."""

REFUSED: Final[dict[type[Exception], str]] = {
    httpx.InvalidURL: "the URL is malformed",
    httpx.UnsupportedProtocol: "the URL's scheme is not supported",
    httpx.LocalProtocolError: "the URL cannot be put into a request",
}
"""Errors of httpx that the URL is to blame for."""

MISUSE: Final = frozenset(
    {
        httpx.StreamError,
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
    }
)
"""Errors of httpx that only a mistake in this file could cause: they are passed on as they are."""


@contextmanager
def translate_errors(host: str) -> Iterator[None]:
    """Raise our error for each of httpx.

    Raises:
        Terminal: asking again cannot help.
        Transient: it may.
    """
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
        raise translate(error, host) from error


def translate(error: Exception, host: str) -> GexlakeError:
    """Return our error for one of httpx; of its text only the operating system's words are kept."""
    for kind in type(error).__mro__:
        if kind in UNAVAILABLE:
            return SourceUnavailable(host, f"{UNAVAILABLE[kind]}{_cause(error)}")
        if kind in REFUSED:
            return SourceRefused(REFUSED[kind])
        if kind in UNUSABLE:
            return UnusableAnswer(host, UNUSABLE[kind])
    raise TypeError(f"{type(error).__name__} is no error of a request") from error


def _cause(error: Exception) -> str:
    """Return the reason below httpx in brackets, for a failed connection; it knows no URL."""
    text = str(error) if isinstance(error, httpx.ConnectError) else ""
    return f" ({text})" if text else ""
