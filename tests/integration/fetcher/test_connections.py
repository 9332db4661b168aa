"""Bodies over real connections, plain and by TLS: how they end, break and stall."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import trustme

from services.fetcher.errors import SourceUnavailable
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from shared.sources.gate import SourceGate
from tests.support.fetcher.wire import OUTSIDE, Names, Rerouted

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]
NAME = "hist.gex.bot"
CONTENT = os.urandom(3_000_000)
TIMEOUT_S = 0.4


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> trustme.CA | None:
    return authority if request.param == "tls" else None


@dataclass
class Served:
    """A source on this machine, and what fetches from it."""

    source: HttpSource
    url: str
    connections: int = 0

    async def fetch(self) -> bytes:
        received = bytearray()
        async with self.source.open(self.url) as body, contextlib.aclosing(body.chunks) as chunks:
            async for chunk in chunks:
                received += chunk
        return bytes(received)


@contextlib.asynccontextmanager
async def serving(reply: Reply, authority: trustme.CA | None) -> AsyncIterator[Served]:
    """Reply to every request with ``reply``, by TLS if there is an authority."""
    server_tls, trust = None, ssl.create_default_context()
    if authority:
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(NAME).configure_cert(server_tls)
        authority.configure_trust(trust)
    serving: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    await reader.readuntil(b"\r\n\r\n")
                    await reply(writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        serving.add(asyncio.create_task(converse(reader, writer)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls) as server:
        port = server.sockets[0].getsockname()[1]
        base_url = f"https://{NAME}/" if authority else f"http://127.0.0.1:{port}/"
        gate = SourceGate.parse((base_url,))
        network = GatedBackend(gate, Names([OUTSIDE]), Rerouted(port)) if authority else GatedBackend(gate)
        async with new_client(TIMEOUT_S, TIMEOUT_S, network, trust) as client:
            served = Served(HttpSource(client, gate), f"{base_url}day.json")
            try:
                yield served
            finally:
                for conversation in serving:
                    conversation.cancel()
                await asyncio.gather(*serving, return_exceptions=True)


def head(*headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


HEAD = head(f"Content-Length: {len(CONTENT)}")
UNTIL_THE_END = head("Connection: close")


async def send_all(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + CONTENT)
    await writer.drain()


async def test_a_body_arrives_byte_for_byte(tls: trustme.CA | None) -> None:
    async with serving(send_all, tls) as served:
        assert await served.fetch() == CONTENT


async def test_a_body_without_a_length_ends_with_the_connection(tls: trustme.CA | None) -> None:
    async def send_and_close(writer: asyncio.StreamWriter) -> None:
        writer.write(UNTIL_THE_END + CONTENT)
        await writer.drain()
        writer.close()

    async with serving(send_and_close, tls) as served:
        assert await served.fetch() == CONTENT


async def test_a_body_in_small_pieces_arrives_whole(tls: trustme.CA | None) -> None:
    async def send_pieces(writer: asyncio.StreamWriter) -> None:
        writer.write(head("Content-Length: 20000"))
        for start in range(0, 20_000, 1000):
            writer.write(CONTENT[start : start + 1000])
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(send_pieces, tls) as served:
        assert await served.fetch() == CONTENT[:20_000]


async def test_a_silent_source_times_out_while_others_are_fetched_from(tls: trustme.CA | None) -> None:
    async def fall_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + CONTENT[:1000])
        await writer.drain()
        await asyncio.sleep(60)

    async with serving(fall_silent, tls) as silent, serving(send_all, tls) as other:
        waiting = asyncio.create_task(silent.fetch())
        for _ in range(5):
            assert await other.fetch() == CONTENT
        with pytest.raises(SourceUnavailable, match="sent nothing for too long"):
            await waiting


async def test_a_tls_end_without_close_notify_is_a_broken_connection(authority: trustme.CA) -> None:
    """Anyone on the way can end a connection: a body without a length would be cut and count as whole."""

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(UNTIL_THE_END + b"[1,")
        await writer.drain()
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async with serving(cut, authority) as served:
        with pytest.raises(SourceUnavailable, match="broke off the connection"):
            await served.fetch()


@pytest.mark.parametrize("start", [HEAD, UNTIL_THE_END], ids=["with-a-length", "without-a-length"])
async def test_a_connection_that_is_reset_after_some_bytes_is_broken(
    tls: trustme.CA | None, start: bytes
) -> None:
    received_some = asyncio.Event()

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(start + CONTENT[:1000])
        await writer.drain()
        await received_some.wait()
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    received = bytearray()
    async with (
        serving(reset, tls) as served,
        served.source.open(served.url) as body,
        contextlib.aclosing(body.chunks) as chunks,
    ):
        received += await anext(chunks)
        received_some.set()
        with pytest.raises(SourceUnavailable, match="broke off the connection"):
            await anext(chunks)
    assert bytes(received) == CONTENT[:1000]


async def test_a_body_that_ends_before_its_length_is_broken(tls: trustme.CA | None) -> None:
    async def send_less(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + CONTENT[:1000])
        await writer.drain()
        writer.close()

    async with serving(send_less, tls) as served:
        with pytest.raises(SourceUnavailable, match="broke off the connection"):
            await served.fetch()


async def test_a_cancelled_read_takes_nothing_from_the_next_connection(tls: trustme.CA | None) -> None:
    replies = 0

    async def send_or_stall(writer: asyncio.StreamWriter) -> None:
        nonlocal replies
        replies += 1
        if replies % 2:
            writer.write(HEAD)
            await asyncio.sleep(60)
        await send_all(writer)

    async with serving(send_or_stall, tls) as served:
        for _ in range(3):
            waiting = asyncio.create_task(served.fetch())
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await served.fetch() == CONTENT


async def test_a_handshake_without_a_reply_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gate = SourceGate.parse((f"https://{NAME}/",))
        network = GatedBackend(gate, Names([OUTSIDE]), Rerouted(silent.getsockname()[1]))
        async with new_client(TIMEOUT_S, 10, network) as client:
            with pytest.raises(SourceUnavailable, match="did not accept a connection in time"):
                await Served(HttpSource(client, gate), f"https://{NAME}/day.json").fetch()


async def test_an_idle_connection_is_used_again_unless_the_source_has_closed_it(
    tls: trustme.CA | None,
) -> None:
    replies, may_close, closed = 0, asyncio.Event(), asyncio.Event()

    async def send_and_close_after_two(writer: asyncio.StreamWriter) -> None:
        nonlocal replies
        replies += 1
        await send_all(writer)
        if replies == 2:
            await may_close.wait()
            writer.close()
            if not tls:  # TLS waits for the client's close_notify, which does not come while it is idle
                await writer.wait_closed()
            closed.set()
            await asyncio.sleep(60)

    async with serving(send_and_close_after_two, tls) as served:
        for _ in range(2):
            assert await served.fetch() == CONTENT
        assert served.connections == 1
        may_close.set()
        await closed.wait()
        assert await served.fetch() == CONTENT
        assert served.connections == 2
