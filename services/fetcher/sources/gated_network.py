"""Connections for httpx to checked addresses only.

A host is resolved once for each connection, all its addresses are checked, and the connection is made to one
of them, so a later change of the name's addresses has no effect. Server name, certificate and ``Host`` are
those of the URL: httpcore takes them from there and not from the address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

import httpcore
import httpx

from services.fetcher.errors import SourceRefused
from shared.sources.addresses import Address, check_addresses, literal
from shared.sources.gate import SourceGate

MAX_TRIED: Final = 4
"""How many addresses of a host are tried before it is unreachable."""
_MAX_CONNECTIONS: Final = 100
_MAX_IDLE_CONNECTIONS: Final = 20
_IDLE_S: Final = 5.0
REDIRECTS_TO: Final = "redirects_to"
"""The response extension with the unparsed ``Location``; None without one."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Takes a host and a port, returns the addresses; raises ``OSError``."""


@cache
def _lookups() -> ThreadPoolExecutor:
    """Return separate threads: a silent name server blocks one long after the lookup has timed out."""
    return ThreadPoolExecutor(64, "resolve")


async def resolve(host: str, port: int) -> list[Address]:
    """Resolve a host with the operating system.

    Raises:
        OSError: it has no address.
    """
    lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_lookups(), lookup)
    return [ip_address(socket_address[0]) for *_, socket_address in found]


class GatedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the hosts of a gate, at checked addresses.

    Args:
        gate: the allowed hosts and ports.
        resolve: returns the addresses of a host.
        inner: makes the connections; it receives addresses only.
    """

    def __init__(
        self,
        gate: SourceGate,
        resolve: Resolve = resolve,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._gate = gate
        self._resolve = resolve
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore names it)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the host's addresses, in ``timeout`` seconds in total.

        Raises:
            SourceRefused: the gate does not list the host, or one of its addresses is internal.
            httpcore.ConnectError: it has no address, or none accepts a connection.
            httpcore.ConnectTimeout: it took longer than ``timeout``.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        addresses = _interleave_families(await self._addresses(host, port, timeout))[:MAX_TRIED]
        failure: Exception | None = None
        for remaining, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = None if deadline is None else max(0.0, deadline - loop.time()) / remaining
            try:
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int, timeout_s: float | None) -> Sequence[Address]:
        if not self._gate.lists(host, port):
            raise SourceRefused(f"{host} at port {port} is not an allowed source (GEXLAKE_ALLOWED_SOURCES)")
        address = literal(host)
        try:
            async with asyncio.timeout(timeout_s):
                addresses = [address] if address else await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        try:
            check_addresses(host, addresses)
        except ValueError as error:
            raise SourceRefused(str(error)) from error
        return addresses


class _StrictTls(ssl.SSLObject):
    """TLS on which an end without ``close_notify`` is an error.

    anyio, as httpcore uses it, takes such an end for the end of the body. Anyone on the way to the source can
    cause one, so a body without a length could be cut and count as whole.
    """

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        try:
            return super().read(*args, **kwargs)
        except ssl.SSLEOFError as error:
            raise ssl.SSLSyscallError("the connection ended without close_notify") from error


class GatedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport over the connections of ``backend`` only: no proxies, HTTP/1.1."""

    def __init__(self, backend: GatedBackend, ssl_context: ssl.SSLContext) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        ssl_context.sslobject_class = _StrictTls
        # httpx has no public way to set a network backend, so its connection pool is replaced.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; move ``Location`` to an extension, so that the caller handles redirects."""
        response = await super().handle_async_request(request)
        # httpx parses it even when it follows no redirects, and reports a malformed one as a broken
        # connection.
        response.extensions[REDIRECTS_TO] = response.headers.pop("Location", None)
        return response


def _interleave_families(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with IPv4 and IPv6 alternating, so that a missing family costs little time."""
    distinct = list(dict.fromkeys(addresses))
    of_first = [address for address in distinct if address.version == distinct[0].version]
    others = [address for address in distinct if address.version != distinct[0].version]
    return [address for address in chain(*zip_longest(of_first, others)) if address is not None]
