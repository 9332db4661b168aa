"""What the fetcher asks the vendor's API, and what it makes of each answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date

import httpx
import pytest
from pydantic import SecretStr

from services.fetcher.errors import SourceBusy, SourceRefused, SourceUnavailable
from services.fetcher.gexbot import api
from services.fetcher.gexbot.api import MAX_RESPONSE_BYTES, VendorApiClient
from services.fetcher.gexbot.errors import (
    NoHistory,
    NoSignedUrl,
    VendorError,
    VendorForbids,
    VendorKeyMissing,
    VendorRefused,
)
from shared.errors import GexlakeError, Terminal, Transient
from shared.gexbot.partition import Partition
from shared.gexbot.vendor_api import VendorApi
from shared.sources.gate import SourceGate

API = VendorApi("https://api.gex.bot/v2")
GATE = SourceGate.parse(("https://hist.gex.bot/", "http://127.0.0.1:8000/"), ("/history",))
KEY = SecretStr("gexbot_custom_k3y")
DAY = Partition("NQ_NDX", "state_gex_zero", date(2025, 11, 14))
SIGNED = "https://hist.gex.bot/2025-11-14_NQ_NDX_state_gex_zero.json?sig=s1gnature&se=2025"


class Vendor(httpx.AsyncBaseTransport):
    """Answers every request with the same."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._answer, Exception):
            raise self._answer
        if not self._answer.is_closed:
            return self._answer
        # One with a body is closed from the start: over the network it would be read only now.
        return httpx.Response(
            self._answer.status_code,
            headers=self._answer.headers,
            stream=httpx.ByteStream(self._answer.content),
        )


class Silent(httpx.AsyncBaseTransport):
    """Never answers."""

    async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError


class Endless(httpx.AsyncByteStream):
    """A body without an end."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent_bytes += 1024
            yield b"[" * 1024


async def ask(transport: httpx.AsyncBaseTransport, key: SecretStr | None = KEY) -> str:
    async with httpx.AsyncClient(transport=transport) as client:
        return await VendorApiClient(client, API, key, GATE).signed_url(DAY)


async def refusal_of(answer: httpx.Response | Exception) -> GexlakeError:
    with pytest.raises(GexlakeError) as refused:
        await ask(Vendor(answer))
    assert KEY.get_secret_value() not in str(refused.value)
    return refused.value


def named(url: object) -> httpx.Response:
    return httpx.Response(200, json={"url": url})


async def test_a_day_is_asked_for_with_the_key_and_the_headers_that_the_vendor_wants() -> None:
    vendor = Vendor(named(SIGNED))
    assert await ask(vendor) == SIGNED
    (request,) = vendor.requests
    assert str(request.url) == "https://api.gex.bot/v2/hist/NQ_NDX/state/gex_zero/2025-11-14?noredirect"
    assert request.headers["authorization"] == "Bearer gexbot_custom_k3y"
    assert request.headers["accept"] == request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"]


async def test_without_a_key_no_request_is_sent_and_the_error_names_the_setting() -> None:
    vendor = Vendor(named(SIGNED))
    with pytest.raises(VendorKeyMissing, match="set GEXBOT_API_KEY"):
        await ask(vendor, key=None)
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, VendorRefused, "check the ticker, the endpoint and the day"),
        (401, VendorRefused, "does not accept the key in GEXBOT_API_KEY"),
        (403, VendorForbids, "it throttles requests, or refuses this one"),
        (404, NoHistory, "has no data of NQ_NDX state_gex_zero for this day"),
        (410, VendorRefused, "answered 410"),
        (204, VendorRefused, "answered 204"),
        (302, VendorRefused, "answered 302"),
        (408, SourceBusy, "busy or failing"),
        (425, SourceBusy, "busy or failing"),
        (429, SourceBusy, "busy or failing"),
        (500, SourceBusy, "busy or failing"),
        (503, SourceBusy, "busy or failing"),
    ],
)
async def test_a_status_has_its_own_error(status: int, kind: type[GexlakeError], words: str) -> None:
    error = await refusal_of(httpx.Response(status, json={"url": SIGNED}, headers={"Location": SIGNED}))
    assert type(error) is kind
    assert isinstance(error, Transient if kind in {SourceBusy, VendorForbids} else Terminal)
    assert words in str(error)
    assert "https://api.gex.bot" in str(error)
    assert "s1gnature" not in str(error)


async def test_the_error_in_a_403_is_quoted_and_yet_retried() -> None:
    error = await refusal_of(httpx.Response(403, json={"error": "Classic package does not have access."}))
    assert isinstance(error, VendorForbids)
    assert "answered 403 ('Classic package does not have access.')" in str(error)


async def test_an_error_with_status_200_is_terminal_and_quoted() -> None:
    error = await refusal_of(httpx.Response(200, json={"error": "not subscribed", "url": SIGNED}))
    assert isinstance(error, VendorError)
    assert "'not subscribed': see what the key in GEXBOT_API_KEY is subscribed to" in str(error)


async def test_a_pause_that_is_asked_for_is_kept() -> None:
    error = await refusal_of(httpx.Response(429, headers={"Retry-After": "7"}))
    assert isinstance(error, SourceBusy)
    assert error.retry_after_s == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!doctype html><title>Sign in</title>", "a web page or XML"),
        (b"", "what is no JSON"),
        (b'{"url": ', "what is no JSON"),
        (b"\xff\xfe", "what is no JSON"),
        (b"[" * 50_000, "what is no JSON"),
        (b"{}", "JSON that names no URL"),
        (b"null", "JSON that names no URL"),
        (json.dumps([SIGNED]).encode(), "JSON that names no URL"),
        (b'{"url": null}', "JSON that names no URL"),
        (b'{"url": ""}', "JSON that names no URL"),
        (b'{"url": {"s1gnature": 1}}', "JSON that names no URL"),
        (json.dumps({"url": SIGNED + "x" * 8192}).encode(), "JSON that names no URL"),
        (b" " * (MAX_RESPONSE_BYTES + 1), "more than 65536 bytes"),
    ],
)
async def test_a_response_without_a_url_is_terminal_and_not_quoted(content: bytes, words: str) -> None:
    error = await refusal_of(httpx.Response(200, content=content))
    assert isinstance(error, NoSignedUrl)
    assert words in str(error)
    assert "s1gnature" not in str(error)


async def test_an_endless_answer_is_cut_off() -> None:
    body = Endless()
    assert isinstance(await refusal_of(httpx.Response(200, stream=body)), NoSignedUrl)
    assert body.sent_bytes <= MAX_RESPONSE_BYTES + 2048


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/2025-11-14_NQ_NDX_state_gex_zero.json?sig=s1gnature",
        "https://hist.gex.bot.evil.test/day.json?sig=s1gnature",
        "https://user@hist.gex.bot/day.json?sig=s1gnature",
        "http://hist.gex.bot/day.json?sig=s1gnature",
        "http://127.0.0.1:8000/day.json?sig=s1gnature",
        "http://169.254.169.254/latest/meta-data?sig=s1gnature",
        "file:///history/day.json?sig=s1gnature",
        "/day.json?sig=s1gnature",
        "//evil.test/day.json?sig=s1gnature",
    ],
)
async def test_a_url_that_the_gate_would_not_let_a_redirect_lead_to_is_refused(url: str) -> None:
    error = await refusal_of(named(url))
    assert isinstance(error, SourceRefused)
    assert "https://api.gex.bot names a URL that is not allowed" in str(error)
    assert "s1gnature" not in str(error)


async def test_a_broken_connection_may_be_tried_again() -> None:
    error = await refusal_of(httpx.ConnectError("Connection refused"))
    assert isinstance(error, SourceUnavailable)
    assert "could not be reached" in str(error)


async def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "RESPONSE_TIMEOUT_S", 0.05)
    with pytest.raises(SourceUnavailable, match=r"had not answered after 0\.05 s"):
        await ask(Silent())
