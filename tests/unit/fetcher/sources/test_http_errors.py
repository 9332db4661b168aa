"""Every error of httpx is one of ours, or none that a request can raise."""

from __future__ import annotations

import ssl

import httpx
import pytest

from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import new_client
from services.fetcher.sources.http_errors import (
    MISUSE,
    REFUSED,
    UNAVAILABLE,
    UNREACHABLE,
    UNUSABLE,
    translate,
)
from shared.errors import Deferred, Terminal, Transient
from shared.sources.gate import SourceGate

HOST = "https://hist.gex.bot"
GROWN = {
    kind
    for name in httpx.__all__
    if isinstance(kind := getattr(httpx, name), type) and issubclass(kind, Exception)
}


def test_every_error_that_httpx_has_is_sorted_into_one_table() -> None:
    tables = [set(UNREACHABLE), set(UNAVAILABLE), set(UNUSABLE), set(REFUSED), set(MISUSE)]
    assert set.union(*tables) == GROWN
    assert sum(map(len, tables)) == len(GROWN)


@pytest.mark.parametrize(
    "kind", [*UNREACHABLE, *UNAVAILABLE, *UNUSABLE, *REFUSED], ids=lambda kind: kind.__name__
)
def test_a_translated_error_names_what_happened_and_never_the_url(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "https://hist.gex.bot/day.json?sig=secret")
    ours = translate(error, HOST) if kind is not httpx.ConnectError else translate(kind("refused"), HOST)
    assert isinstance(ours, Transient if kind in {*UNREACHABLE, *UNAVAILABLE} else Terminal)
    assert "secret" not in str(ours)
    assert (HOST in str(ours)) is (kind not in REFUSED)


@pytest.mark.parametrize("kind", UNREACHABLE, ids=lambda kind: kind.__name__)
def test_without_a_connection_no_attempt_counts(kind: type[Exception]) -> None:
    assert isinstance(translate(kind("Name or service not known"), HOST), Deferred)


def test_a_refused_certificate_is_an_attempt() -> None:
    error = httpx.ConnectError("CERTIFICATE_VERIFY_FAILED")
    error.__cause__ = ssl.SSLCertVerificationError()
    assert not isinstance(translate(error, HOST), Deferred)


def test_an_error_of_a_newer_httpx_is_translated_as_its_nearest_ancestor() -> None:
    class Novel(httpx.ReadTimeout):
        pass

    assert isinstance(translate(Novel("slow"), HOST), Transient)


async def test_the_client_asks_for_plain_bytes_by_name_and_follows_nothing_by_itself() -> None:
    async with new_client(1, 2, GatedBackend(SourceGate(()))) as client:
        assert client.headers["Accept-Encoding"] == "identity"
        assert client.headers["User-Agent"].startswith("gexlake/")
        assert (client.follow_redirects, client.trust_env) == (False, False)
        assert (client.timeout.connect, client.timeout.read) == (1, 2)
