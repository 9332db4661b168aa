"""Following live snapshots at a running intake: order, filters, coming back, and being cut off."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.errors import BrokerUnavailable
from simulator.nats_server import NatsServer
from tests.support.intake.live import a_message, publish_live, read, stream_of, strikes
from tests.support.intake.running import RunningIntake, recreate_stream, running_intake
from tests.support.poll import eventually

KEY: Final = "a-key-of-the-client"


@asynccontextmanager
async def intake_with(nats_url: str, **settings: Any) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5, **settings)) as intake:
        await eventually(lambda: intake.context.hub.is_caught_up)
        yield intake


@asynccontextmanager
async def socket_of(
    intake: RunningIntake, query: str = "", **headers: str
) -> AsyncIterator[ClientConnection]:
    """Follow over a WebSocket; yields when the stream has begun."""
    url = f"ws://127.0.0.1:{intake.http.base_url.port}/gex/ws?{query}"
    async with connect(url, additional_headers=headers, compression=None) as socket:
        assert json.loads(await socket.recv())["event"] == "start"
        yield socket


async def received(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(await socket.recv()) for _ in range(count)]


def ids(events: list[dict[str, Any]]) -> list[int]:
    return [event["id"] for event in events]


async def test_both_kinds_of_reader_get_new_snapshots_in_order(bus: Bus, nats_url: str) -> None:
    await publish_live(bus, a_message(0))
    async with (
        intake_with(nats_url) as intake,
        stream_of(intake.http) as events,
        socket_of(intake) as socket,
    ):
        sent = [a_message(second, strikes=strikes(3)) for second in range(1, 30)]
        places = await publish_live(bus, *sent)
        by_sse = await read(events, len(sent))
        assert by_sse == await received(socket, len(sent))
    assert ids(by_sse) == places
    assert [event["spot_price"] for event in by_sse] == [6000.0 + second for second in range(1, 30)]
    assert by_sse[0]["strikes"][1] == [5005.0, 1.5, -2.5, [1, 2.5, 3, 4.5, 5]]


async def test_readers_get_only_the_tickers_and_endpoints_that_they_name(bus: Bus, nats_url: str) -> None:
    async with (
        intake_with(nats_url) as intake,
        stream_of(intake.http, "ticker=spx,ndx&endpoint=zero") as events,
        socket_of(intake, "ticker=VIX") as socket,
    ):
        await publish_live(bus, a_message(0), a_message(1, "VIX"), a_message(2, endpoint="gex_one"))
        await publish_live(bus, a_message(3, "NDX"), a_message(4, "RUT"), a_message(5, "VIX"))
        assert ids(await read(events, 2)) == [1, 4]
        assert ids(await received(socket, 2)) == [2, 6]


@pytest.mark.parametrize("room", ["in memory", "in FEED"])
async def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(
    bus: Bus, nats_url: str, room: str
) -> None:
    # Each event has about 100 kB, so that one MiB has room for ten.
    many = [a_message(second, ("SPX", "NDX")[second % 2], strikes=strikes(3000)) for second in range(14)]
    count = 4 if room == "in memory" else 14
    async with intake_with(nats_url, stream_buffer_mb=1) as intake:
        async with stream_of(intake.http) as events:
            await publish_live(bus, a_message(99))
            (seen,) = await read(events, 1)
        await publish_live(bus, *many[:count])
        await eventually(lambda: intake.context.hub.ring.last_sequence == count + 1)
        assert (intake.context.hub.ring.position_after(1) is None) == (room == "in FEED")
        last = str(seen["id"])
        async with (
            stream_of(intake.http, "last_event_id=17", last) as again,
            socket_of(intake, f"ticker=SPX&last_event_id={last}") as socket,
        ):
            assert ids(await read(again, count)) == list(range(2, count + 2))
            assert ids(await received(socket, count // 2)) == list(range(2, count + 2, 2))
            await publish_live(bus, a_message(100))
            assert ids(await read(again, 1)) == ids(await received(socket, 1)) == [count + 2]


async def test_a_reader_with_an_id_before_the_first_is_told_of_the_gap(bus: Bus, nats_url: str) -> None:
    await publish_live(bus, *(a_message(second) for second in range(6)))
    await bus.js.purge_stream(subjects.FEED, seq=5)
    async with intake_with(nats_url) as intake:
        async with stream_of(intake.http, "", "2") as events:
            gap, *rest = await read(events, 3)
        async with socket_of(intake, "last_event_id=2") as socket:
            assert [gap, *rest] == await received(socket, 3)
    assert (gap["event"], gap["after"], gap["first"], ids(rest)) == ("gap", 2, 5, [5, 6])


async def test_a_stream_that_was_created_again_is_read_from_its_first_message(
    bus: Bus, nats_url: str
) -> None:
    await publish_live(bus, *(a_message(second) for second in range(6)))
    async with intake_with(nats_url) as intake:
        async with stream_of(intake.http) as events:
            await recreate_stream(bus, subjects.FEED)
            await publish_live(bus, a_message(10))
            with pytest.raises(StopAsyncIteration):  # ids start over, so the reader has to come again
                await read(events, 1)
        async with stream_of(intake.http, "", "6") as events:
            gap, first = await read(events, 2)
        assert (gap["event"], gap["after"], first["id"]) == ("gap", 6, 1)


@pytest.mark.slow
async def test_readers_go_on_after_nats_server_was_killed(bus: Bus, nats_server: NatsServer) -> None:
    async with intake_with(nats_server.url) as intake, stream_of(intake.http) as events:
        await publish_live(bus, a_message(0))
        assert ids(await read(events, 1)) == [1]
        nats_server.kill()
        nats_server.start()

        async def published() -> bool:
            try:
                return bool(await publish_live(bus, a_message(1), a_message(2)))
            except BrokerUnavailable:
                return False

        await eventually(published)
        assert ids(await read(events, 2)) == [2, 3]


async def test_a_reader_of_an_intake_that_was_started_again_goes_on(bus: Bus, nats_url: str) -> None:
    async with intake_with(nats_url) as intake, stream_of(intake.http) as events:
        await publish_live(bus, a_message(0), a_message(1))
        assert ids(await read(events, 1)) == [1]
    await publish_live(bus, a_message(2))
    async with intake_with(nats_url) as intake, stream_of(intake.http, "", "1") as events:
        await publish_live(bus, a_message(3))
        assert ids(await read(events, 3)) == [2, 3, 4]


SMALL: Final = (socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
"""An option of sockets of slow readers, so that the kernel holds little for them."""
UPGRADE: Final = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
PATHS: Final = [pytest.param("/gex/stream", "", id="sse"), pytest.param("/gex/ws", UPGRADE, id="ws")]
FLOOD: Final = 16
"""How many large messages are more than the sockets and the memory of an intake hold."""


@contextmanager
def stalled(intake: RunningIntake, path: str, headers: str = "") -> Iterator[None]:
    """Be a reader that never reads."""
    with socket.socket() as client:
        client.setsockopt(*SMALL)
        client.connect(("127.0.0.1", intake.http.base_url.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        yield


async def until_readers_wait(intake: RunningIntake, count: int) -> None:
    await eventually(lambda: len(intake.context.hub.ring._waiting) == count)


async def flood(bus: Bus) -> None:
    big = strikes(8000)
    await publish_live(bus, *(a_message(second, strikes=big) for second in range(FLOOD)))


async def metric(intake: RunningIntake, name: str) -> float:
    lines = (await intake.http.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.parametrize(("path", "headers"), PATHS)
async def test_a_reader_that_reads_nothing_is_cut_off_and_others_are_not(
    bus: Bus, nats_url: str, path: str, headers: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with intake_with(nats_url, stream_send_timeout_s=0.5) as intake:
        with stalled(intake, path, headers):
            await until_readers_wait(intake, 1)
            async with stream_of(intake.http) as events:
                reading = asyncio.create_task(read(events, FLOOD))
                await flood(bus)
                assert ids(await reading) == list(range(1, FLOOD + 1))

            async def is_gone() -> bool:
                return await metric(intake, "gexlake_stream_readers ") == 0

            await eventually(is_gone)
        assert await metric(intake, 'gexlake_stream_readers_cut_off_total{reason="stalled"}') == 1
    assert [record for record in caplog.records if record.name == "uvicorn.error"] == []


async def test_intake_stops_at_once_whoever_follows(bus: Bus, nats_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients, AsyncExitStack() as service:
        intake = await service.enter_async_context(intake_with(nats_url, drain_timeout_s=50))
        for path, headers in (("/gex/stream", ""), ("/gex/ws", UPGRADE)):
            clients.enter_context(stalled(intake, path, headers))
        await until_readers_wait(intake, 2)
        await flood(bus)
        http = await clients.enter_async_context(httpx.AsyncClient(base_url=intake.http.base_url))
        events = await clients.enter_async_context(stream_of(http))
        follower = await clients.enter_async_context(socket_of(intake))
        began = loop.time()
        await service.aclose()
        took_s = loop.time() - began
        with pytest.raises(StopAsyncIteration):
            await read(events, 1)
        with pytest.raises(websockets.ConnectionClosed, match="1012"):
            await follower.recv()
    assert took_s < 10


async def test_a_websocket_that_stays_open_is_no_slow_request(bus: Bus, nats_url: str) -> None:
    limits = {"header_timeout_s": 0.2, "body_timeout_s": 0.2, "max_connections": 2}
    async with intake_with(nats_url, **limits) as intake, socket_of(intake) as socket:
        await asyncio.sleep(0.5)
        await publish_live(bus, a_message(0))
        assert ids(await received(socket, 1)) == [1]
        # The client of ``intake`` has the other connection.
        assert (await intake.http.get("/health")).status_code == 200
        async with httpx.AsyncClient(base_url=intake.http.base_url) as third:
            assert (await third.get("/health")).json()["error"]["rule"] == "connections"


async def test_readers_are_limited_and_need_a_key(bus: Bus, nats_url: str) -> None:
    async with intake_with(nats_url, max_stream_readers=1, api_keys=(KEY,)) as intake:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await socket_of(intake).__aenter__()
        assert refused.value.response.status_code == 401
        key = {"X-API-Key": KEY}
        async with socket_of(intake, **key) as socket:
            answer = await intake.http.get("/gex/stream", headers=key)
            assert (answer.status_code, answer.json()["error"]["rule"]) == (503, "readers")
            await publish_live(bus, a_message(0))
            assert ids(await received(socket, 1)) == [1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("ticker=S%20PX", "ticker"),
        ("endpoint=gex_two", "endpoint"),
        ("last_event_id=new", "last_event_id"),
        ("last_event_id=-1", "last_event_id"),
        (f"last_event_id={10**30}", "last_event_id"),
    ],
)
async def test_what_cannot_be_followed_is_refused(nats_url: str, query: str, field: str) -> None:
    async with intake_with(nats_url) as intake:
        answer = await intake.get(f"/gex/stream?{query}", 422)
        assert answer["error"]["field"] == field
        with pytest.raises(websockets.InvalidStatus) as refused:
            await socket_of(intake, query).__aenter__()
        assert json.loads(refused.value.response.body or b"") == answer
