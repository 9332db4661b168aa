"""Connections of the fetcher, plain and by TLS, to servers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import httpcore
import pytest
import trustme

from services.fetcher.sockets_httpcore import SocketBackend, SocketStream
from tests.support.poll import eventually

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAME = "hist.gex.bot"
CONTENT = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "tls"])
def secured(request: pytest.FixtureRequest, authority: trustme.CA) -> trustme.CA | None:
    return authority if request.param == "tls" else None


@contextlib.asynccontextmanager
async def connected(answer: Answer, authority: trustme.CA | None = None) -> AsyncIterator[SocketStream]:
    """Connect to a server that does ``answer``, by TLS if there is an authority."""
    context = None
    if authority:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(NAME).configure_cert(context)
    answering: list[asyncio.StreamWriter] = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(writer)
        await answer(reader, writer)

    server = await asyncio.start_server(noted, "127.0.0.1", 0, ssl=context)
    async with server:
        stream = await SocketBackend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], 10)
        try:
            if authority:
                stream = await stream.start_tls(trust(authority), NAME, 10)
            yield stream
        finally:
            await stream.aclose()
            for writer in answering:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def send_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(CONTENT)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    writer.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("room_bytes", [1_000, 20_000, 1 << 20])
async def test_all_that_is_sent_is_read_into_rooms_of_any_size(
    secured: trustme.CA | None, room_bytes: int
) -> None:
    """By TLS a record holds more than a small room: what is left of it is nothing that a socket tells of."""
    received = bytearray()
    async with connected(send_all, secured) as stream:
        room = memoryview(bytearray(room_bytes))
        while count := await stream.fill(room, 10):
            received += room[:count]
        assert await stream.fill(room, 10) == 0
    assert bytes(received) == CONTENT


async def test_a_room_is_filled_although_its_bytes_come_in_small_pieces(secured: trustme.CA | None) -> None:
    async def send_crumbs(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, 20_000, 1000):
            writer.write(CONTENT[start : start + 1000])
            await writer.drain()
            await asyncio.sleep(0)

    async with connected(send_crumbs, secured) as stream:
        room = memoryview(bytearray(20_000))
        filled, reads = 0, 0
        while filled < len(room):
            filled += await stream.fill(room[filled:], 10)
            reads += 1
    assert bytes(room) == CONTENT[:20_000]
    assert reads < 20


async def test_a_source_that_is_silent_is_given_up_on_and_keeps_no_thread(
    secured: trustme.CA | None,
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    room = memoryview(bytearray(1000))
    async with connected(say_nothing, secured) as silent, connected(send_all, secured) as other:
        waiting = asyncio.create_task(silent.fill(memoryview(bytearray(1000)), 0.3))
        for _ in range(20):
            assert await other.fill(room, 10) == len(room)
        with pytest.raises(httpcore.ReadTimeout):
            await waiting
        with pytest.raises(httpcore.ReadTimeout):
            await silent.read(1000, 0.05)


async def test_a_connection_is_not_closed_while_a_thread_reads_from_it() -> None:
    """By TLS the library has the number of the socket in hand, which the next connection may be given."""
    begun, may_end = threading.Event(), threading.Event()

    class Slow(socket.socket):
        is_read = False

        def recv_into(self, *_: object, **__: object) -> int:
            self.is_read = True
            begun.set()
            assert may_end.wait(10)
            self.is_read = False
            return 0

        def close(self) -> None:
            assert not self.is_read
            super().close()

    connection = Slow()
    stream = SocketStream(connection)
    reading = asyncio.create_task(stream.fill(memoryview(bytearray(10)), 10))
    assert await asyncio.to_thread(begun.wait, 10)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    threading.Timer(0.05, may_end.set).start()
    await stream.aclose()
    assert connection.fileno() == -1


async def test_a_connection_that_broke_after_some_bytes_is_not_at_its_end() -> None:
    """The kernel tells of a reset once, and of an end from then on."""

    class Breaking(socket.socket):
        reads = 0

        def recv_into(self, *_: object, **__: object) -> int:
            self.reads += 1
            if self.reads == 2:
                raise ConnectionResetError(104, "Connection reset by peer")
            return 3 if self.reads == 1 else 0

    stream = SocketStream(Breaking())
    room = memoryview(bytearray(100))
    assert await stream.fill(room, 10) == 3
    with pytest.raises(httpcore.ReadError):
        await stream.fill(room, 10)
    await stream.aclose()


async def test_a_read_that_is_cancelled_takes_nothing_from_the_next_connection() -> None:
    """Its thread may still be at it, and the number of a closed socket is given to the next one at once."""
    for _ in range(5):
        async with connected(say_nothing) as silent:
            waiting = asyncio.create_task(silent.fill(memoryview(bytearray(1000)), 10))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await silent.aclose()
            async with connected(send_all) as stream:
                room, received = memoryview(bytearray(1 << 20)), bytearray()
                while count := await stream.fill(room, 10):
                    received += room[:count]
        assert bytes(received) == CONTENT


async def test_more_than_the_network_holds_is_sent_whole(secured: trustme.CA | None) -> None:
    received = asyncio.get_running_loop().create_future()

    async def take_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.readexactly(3 * len(CONTENT)))
        writer.close()

    async with connected(take_all, secured) as stream:
        await stream.write(3 * CONTENT, 10)
        assert await received == 3 * CONTENT


async def test_a_source_that_takes_nothing_is_given_up_on() -> None:
    async def take_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    async with connected(take_nothing) as stream:
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(20 * CONTENT, 0.2)


async def test_an_end_that_tls_did_not_announce_is_no_end(authority: trustme.CA) -> None:
    """Anybody on the way can end a connection; without a length, a file would be cut and count as whole."""

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"[1,")
        await writer.drain()
        writer.get_extra_info("socket").shutdown(1)

    async with connected(cut, authority) as stream:
        room = memoryview(bytearray(100))
        assert await stream.fill(room, 10) == 3
        with pytest.raises(httpcore.ReadError):
            await stream.fill(room, 10)
        with pytest.raises(httpcore.ReadError):
            await stream.read(100, 10)


async def test_a_connection_that_is_reset_is_broken(secured: trustme.CA | None) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async with connected(reset, secured) as stream:
        await stream.write(b"GET", 10)
        with pytest.raises(httpcore.ReadError):
            await stream.fill(memoryview(bytearray(100)), 10)


async def test_nobody_listening_is_no_connection() -> None:
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(httpcore.ConnectError):
        await SocketBackend().connect_tcp("127.0.0.1", port, 10)


@pytest.mark.parametrize("name", ["evil.test", "gex.bot"])
async def test_another_name_than_the_certificates_is_no_connection(authority: trustme.CA, name: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(context)
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0, ssl=context) as server:
        plain = await SocketBackend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], 10)
        with pytest.raises(httpcore.ConnectError, match="certificate"):
            await plain.start_tls(trust(authority), name, 10)
        assert plain.get_extra_info("is_readable")  # closed


async def test_a_handshake_that_is_not_answered_is_given_up_on(authority: trustme.CA) -> None:
    async with connected(say_nothing) as stream:
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(trust(authority), NAME, 0.1)


async def test_an_idle_connection_shows_that_the_other_side_has_ended_it(secured: trustme.CA | None) -> None:
    ended = asyncio.Event()

    async def end_when_told(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with connected(end_when_told, secured) as stream:
        if not secured:  # with TLS the session's tickets are there to be read
            assert not stream.get_extra_info("is_readable")
        ended.set()

        async def readable() -> bool:
            return bool(stream.get_extra_info("is_readable"))

        await eventually(readable, what="the end is seen")
