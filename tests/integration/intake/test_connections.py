"""Connections that send slowly, not at all, or hang up; through real sockets, without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from services.intake.settings import IntakeSettings
from tests.support.intake.running import RunningIntake, running_intake
from tests.support.poll import eventually

HEAD: Final = b"POST /gex_history_url HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HEALTH: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
PROMPT: Final = {"header_timeout_s": 0.2, "body_timeout_s": 0.2}
PATIENT: Final = {"header_timeout_s": 60, "body_timeout_s": 60}


@asynccontextmanager
async def intake_with(**settings: Any) -> AsyncIterator[RunningIntake]:
    nowhere = IntakeSettings(nats_url="nats://127.0.0.1:1", drain_timeout_s=0, **settings)
    async with running_intake(nowhere, rebuilt=False) as intake:
        yield intake


class Client:
    """A connection that sends what it is told to, and nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, Any]:
        """Read one response with a Content-Length: its status and its JSON."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            return int(head.split()[1]), json.loads(await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def is_open(self) -> bool:
        """Report whether a request is answered."""
        self.send(HEALTH)
        return (await self.answer())[0] == 200


@asynccontextmanager
async def connected(intake: RunningIntake) -> AsyncIterator[Client]:
    url = intake.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


def has_room(intake: RunningIntake) -> Callable[[], Awaitable[bool]]:
    """Return a check that a further connection is let in."""

    async def is_let_in() -> bool:
        return (await intake.http.get("/health", headers={"Connection": "close"})).status_code == 200

    return is_let_in


async def drip(client: Client, data: bytes) -> None:
    """Send a byte every 50 ms: never silent as long as a timeout, and never done."""
    while not client.writer.is_closing():
        client.send(data)
        await asyncio.sleep(0.05)


async def test_a_silent_connection_is_closed() -> None:
    async with intake_with(**PROMPT) as intake, connected(intake) as client:
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("setting", "sent", "dripped", "part"),
    [
        pytest.param("header_timeout_s", b"GET /health HTTP/1.1\r\nX: ", b"x", "headers", id="headers"),
        pytest.param("body_timeout_s", HEAD + b"Content-Length: 1000\r\n\r\n", b" ", "body", id="body"),
        pytest.param(
            "body_timeout_s", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "body", id="chunks"
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", HEALTH], ids=["first request", "second request"])
async def test_a_request_that_drips_is_answered_and_closed(
    setting: str, sent: bytes, dripped: bytes, part: str, before: bytes
) -> None:
    async with intake_with(**{**PATIENT, setting: 0.2}) as intake, connected(intake) as client:
        if before:
            assert await client.is_open()
        client.send(sent)
        dripping = asyncio.create_task(drip(client, dripped))
        status, answer = await client.answer()
        assert (status, answer["error"]["field"], answer["error"]["rule"]) == (408, part, "timeout")
        await client.rest()
        dripping.cancel()


async def test_a_body_that_no_route_reads_is_not_awaited_for_ever() -> None:
    async with intake_with(**{**PATIENT, "body_timeout_s": 0.2}) as intake, connected(intake) as client:
        client.send(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        dripping = asyncio.create_task(drip(client, b" "))
        assert (await client.answer())[0] == 404
        await client.rest()
        dripping.cancel()


async def test_a_connection_between_two_requests_is_not_timed() -> None:
    async with intake_with(**PROMPT) as intake, connected(intake) as client:
        assert await client.is_open()
        await asyncio.sleep(0.5)
        client.send(HEALTH + HEALTH)
        assert [(await client.answer())[0], (await client.answer())[0]] == [200, 200]


async def test_a_response_that_is_not_read_is_not_kept() -> None:
    async with intake_with(max_connections=1, send_timeout_s=0.2) as intake, connected(intake) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        script = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.send(script * 20)
        await client.writer.drain()
        await eventually(has_room(intake))


async def test_connections_over_the_limit_are_refused_until_one_ends() -> None:
    async with intake_with(max_connections=2, **PATIENT) as intake:
        async with connected(intake) as first, connected(intake) as second:
            assert await first.is_open()
            assert await second.is_open()
            with capture_logs() as logs:
                for _ in range(3):
                    async with connected(intake) as third:
                        status, answer = await third.answer()
                        assert (status, answer["error"]["rule"]) == (503, "connections")
                        assert await third.rest() == b""
            assert [line["event"] for line in logs if line["event"] != "broker_error"] == ["connections_full"]
            assert await first.is_open()
        await eventually(has_room(intake))


@pytest.mark.parametrize(
    "length", [b"Content-Length: 1000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
)
async def test_a_client_that_hangs_up_in_its_body_is_no_error(
    length: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with intake_with(**PATIENT) as intake:
        async with connected(intake) as client:
            client.send(HEAD + length)
            await client.writer.drain()

        async def counted() -> bool:
            line = 'gexlake_http_requests_total{method="POST",route="/gex_history_url",status="499"} 1.0'
            return line in (await intake.http.get("/metrics")).text

        await eventually(counted)
        assert [record for record in caplog.records if record.name == "uvicorn.error"] == []
