"""Readers of a real intake process: two hundred of them, ten of which read nothing, and a killed intake."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from shared.bus.connection import Bus
from tests.support.intake.live import a_message, publish_live, read, stream_of, strikes
from tests.support.intake.running import IntakeProcess, intake_process
from tests.support.poll import eventually

READERS: Final = 190
STALLED: Final = 10
EVENTS: Final = 240
MAX_RSS_MIB: Final = 200
BACKLOG: Final = 24
"""Large messages of another ticker: more than sockets hold, so that who reads nothing stalls at once."""
REQUEST: Final = "GET /gex/stream?ticker={} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n"
SMALL: Final = (socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
ID: Final = re.compile(rb"^id: (\d+)\r?\nevent", re.MULTILINE)


class RawReader:
    """A reader that looks at ids only, so that two hundred fit beside intake."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.has_begun = asyncio.Event()

    async def follow(self, port: int, after: int) -> None:
        """Read until the last event has come."""
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        try:
            sink.write(REQUEST.format("SPX", after).encode())
            rest = b""
            while not self.ids or self.ids[-1] < BACKLOG + EVENTS:
                chunk = await source.read(256 * 1024)
                assert chunk, f"the stream ended after {self.ids[-1:]}"
                self.has_begun.set()
                rest += chunk
                self.ids += [int(each) for each in ID.findall(rest)]
                rest = rest[-100:] if not ID.search(rest[-100:]) else b""
        finally:
            sink.close()


async def ready(intake: IntakeProcess, http: httpx.AsyncClient) -> None:
    async def is_followed() -> bool:
        try:
            answer = await http.get(f"{intake.url}/gex/latest", params={"ticker": "SPX"})
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    await eventually(is_followed)


def max_rss_mib(intake: IntakeProcess) -> float:
    status = Path(f"/proc/{intake.process.pid}/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) / 1024


async def metric(intake: IntakeProcess, http: httpx.AsyncClient, name: str) -> float:
    lines = (await http.get(f"{intake.url}/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_stalled_readers_cost_the_others_nothing_and_intake_little(
    bus: Bus, nats_url: str, tmp_path: Path
) -> None:
    settings = {
        "GEXLAKE_NATS_URL": nats_url,
        "GEXLAKE_STREAM_SEND_TIMEOUT_S": "10",
        "GEXLAKE_STREAM_BUFFER_MB": "1",
    }
    big, hundred = strikes(8000), strikes(100)
    await publish_live(bus, *(a_message(second, "NDX", strikes=big) for second in range(BACKLOG)))
    await publish_live(bus, a_message(0))
    async with AsyncExitStack() as stack:
        intake = stack.enter_context(intake_process(tmp_path, **settings))
        http = httpx.AsyncClient()
        stack.push_async_callback(http.aclose)
        await ready(intake, http)
        expected = list(range(BACKLOG + 1, BACKLOG + EVENTS + 1))
        port = httpx.URL(intake.url).port or 0
        for _ in range(STALLED):
            client = stack.enter_context(socket.socket())
            client.setsockopt(*SMALL)
            client.connect(("127.0.0.1", port))
            client.sendall(REQUEST.format("NDX", 0).encode())
        readers = [RawReader() for _ in range(READERS)]
        async with asyncio.TaskGroup() as following:
            for reader in readers:
                following.create_task(reader.follow(port, BACKLOG + 1))
            for reader in readers:
                await reader.has_begun.wait()
            assert await metric(intake, http, "gexlake_stream_readers ") == READERS + STALLED
            for second in range(1, EVENTS):
                await publish_live(bus, a_message(second, strikes=hundred))
                await asyncio.sleep(0.04)
        assert all(reader.ids == expected[1:] for reader in readers)

        # All come back at once for more than is in memory.
        again = [RawReader() for _ in range(READERS)]
        async with asyncio.TaskGroup() as following:
            for reader in again:
                following.create_task(reader.follow(port, 0))
        assert all(reader.ids == expected for reader in again)

        async def cut_off() -> bool:
            return await metric(intake, http, "gexlake_stream_readers_cut_off_total") == STALLED

        await eventually(cut_off)
        assert max_rss_mib(intake) < MAX_RSS_MIB


@pytest.mark.slow
async def test_a_reader_of_a_killed_intake_goes_on_at_the_next(
    bus: Bus, nats_url: str, tmp_path: Path
) -> None:
    await publish_live(bus, a_message(0))
    async with httpx.AsyncClient() as http:
        with intake_process(tmp_path, GEXLAKE_NATS_URL=nats_url) as intake:
            await ready(intake, http)
            async with httpx.AsyncClient(base_url=intake.url) as client, stream_of(client) as events:
                await publish_live(bus, a_message(1), a_message(2))
                (seen,) = await read(events, 1)
                intake.end(signal.SIGKILL)
        await publish_live(bus, a_message(3))
        with intake_process(tmp_path, GEXLAKE_NATS_URL=nats_url) as intake:
            await ready(intake, http)
            last = str(seen["id"])
            async with (
                httpx.AsyncClient(base_url=intake.url) as client,
                stream_of(client, "", last) as events,
            ):
                await publish_live(bus, a_message(4))
                assert [event["id"] for event in await read(events, 3)] == [3, 4, 5]
