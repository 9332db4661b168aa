"""The sockets under httpx: readiness is the event loop's, and long reads are done in a thread.

A stream of asyncio hands on what comes in as it comes, in some 5,000 pieces a gigabyte, each a new object and
a turn of the loop. Here the loop only waits until there is something to read; a thread of ``fill`` then reads
into memory of its caller until that is full. A thread is never kept by a source that is silent.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from time import monotonic
from typing import Any, Final, TypeVar

import httpcore

GATHER_S: Final = 0.025
"""How long a read waits for more than it has."""

T = TypeVar("T")


class SocketBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses; names are not resolved here."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore names it)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> SocketStream:
        """Connect to an address.

        Raises:
            httpcore.ConnectError: it takes no connection.
            httpcore.ConnectTimeout: not in time.
        """
        with _told_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            connection = socket.socket(_family(host), socket.SOCK_STREAM)
            try:
                connection.settimeout(0)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for option in socket_options or ():
                    connection.setsockopt(*option)
                if local_address is not None:
                    connection.bind((local_address, 0))
                async with asyncio.timeout(timeout):
                    await asyncio.get_running_loop().sock_connect(connection, (host, port))
            except BaseException:
                connection.close()
                raise
        return SocketStream(connection)


class SocketStream(httpcore.AsyncNetworkStream):
    """A connection, plain or by TLS, for one reader.

    Args:
        connection: connected, and non-blocking.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # Whoever reads in a thread has it: the number of a closed socket may be another connection's at once.
        self._reading = threading.Lock()
        self._broke: OSError | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return what is there, of at most ``max_bytes``, as soon as anything is; nothing at the end.

        Raises:
            httpcore.ReadError: the connection broke.
            httpcore.ReadTimeout: nothing came in time.
        """

        async def receive() -> bytes:
            return self._socket.recv(max_bytes)

        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            return await self._until_done(receive, select.POLLIN, timeout)

    async def fill(self, room: memoryview, timeout: float | None = None) -> int:  # noqa: ASYNC109
        """Read until ``room`` is full, nothing more comes for a moment, or the end.

        Returns:
            How many bytes were read; 0 at the end.

        Raises:
            httpcore.ReadError: the connection broke.
            httpcore.ReadTimeout: nothing came in time.
        """

        async def receive() -> int:
            return await asyncio.to_thread(self._fill, room)

        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            return await self._until_done(receive, select.POLLIN, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all of ``buffer``.

        Raises:
            httpcore.WriteError: the connection broke.
            httpcore.WriteTimeout: it was not taken in time.
        """
        rest = memoryview(buffer)

        async def send() -> int:
            return self._socket.send(rest)

        with _told_as(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                rest = rest[await self._until_done(send, select.POLLOUT, timeout) :]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> SocketStream:
        """Go on by TLS; the connection is closed if that fails.

        Raises:
            httpcore.ConnectError: the certificate is not ``server_hostname``'s, or the handshake failed.
            httpcore.ConnectTimeout: it took too long.
        """
        try:
            with _told_as(httpcore.ConnectTimeout, httpcore.ConnectError):
                return await self._secured(ssl_context, server_hostname, timeout)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection; the loop waits for a thread that still reads, for ``GATHER_S`` at most."""
        with self._reading:
            self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a connection; None for anything else."""
        match info:
            case "socket":
                return self._socket
            case "ssl_object":
                return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "is_readable":
                return self._socket.fileno() < 0 or _is_ready(self._socket, select.POLLIN, 0)
        return None

    async def _secured(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None, timeout_s: float | None
    ) -> SocketStream:
        # An end that was not announced is an error: else a body without a length could be cut.
        connection = ssl_context.wrap_socket(
            self._socket,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        self._socket = connection  # the plain one is not open any more

        async def shake() -> None:
            connection.do_handshake()

        await self._until_done(shake, select.POLLIN, timeout_s)
        return self

    async def _until_done(
        self, attempt: Callable[[], Awaitable[T]], wanted: int, timeout_s: float | None
    ) -> T:
        """Try again whenever the socket is ready for what it last asked for."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    return await attempt()
                except BlockingIOError:
                    await self._ready(wanted)
                except ssl.SSLWantReadError:
                    await self._ready(select.POLLIN)
                except ssl.SSLWantWriteError:
                    await self._ready(select.POLLOUT)

    async def _ready(self, wanted: int) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        if wanted == select.POLLIN:
            loop.add_reader(self._socket, ready.set)
        else:
            loop.add_writer(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)

    def _fill(self, room: memoryview) -> int:
        filled, until = 0, monotonic() + GATHER_S
        with self._reading:
            if self._broke is not None:
                raise self._broke
            while filled < len(room):
                try:
                    count = self._socket.recv_into(room[filled:])
                except (BlockingIOError, ssl.SSLWantReadError):
                    if _is_ready(self._socket, select.POLLIN, until - monotonic()):
                        continue
                    if not filled:
                        raise
                    break
                except OSError as error:
                    if not filled:
                        raise
                    self._broke = error  # the kernel tells it once, and an end after that
                    break
                if not count:
                    break
                filled += count
        return filled


def _is_ready(connection: socket.socket, wanted: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(connection, wanted)
    return bool(poll.poll(max(0.0, timeout_s * 1000)))


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET


@contextmanager
def _told_as(too_late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise too_late(str(error)) from error
    except OSError as error:
        raise broken(str(error)) from error
