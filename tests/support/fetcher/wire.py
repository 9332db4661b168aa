"""Stand-ins for the network and for DNS: they note where connections lead, and answer as they are told."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

import httpcore

from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from shared.sources.addresses import Address
from shared.sources.gate import SourceGate

OUTSIDE: Final = "8.8.8.8"
A_FILE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
_TRUST: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def redirect(location: str, *headers: str) -> bytes:
    """Return the answer that leads to ``location`` and ends the connection."""
    lines = [
        "HTTP/1.1 302 Found",
        f"Location: {location}",
        "Content-Length: 0",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Wire(httpcore.AsyncNetworkBackend):
    """The network: each connection is given the next of ``answers``, the last of them again and again.

    Args:
        answers: what comes back on a connection.
        unreachable: addresses that take no connection.
    """

    def __init__(self, *answers: bytes, unreachable: Iterable[str] = ()) -> None:
        self.asked: list[tuple[str, int]] = []
        """Addresses and ports that a connection was tried to."""
        self.server_names: list[str | None] = []
        self.sent: list[bytes] = []
        """All that was written, by connection."""
        self._answers = list(answers or (A_FILE,))
        self._unreachable = set(unreachable)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 (httpcore names it)
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, port))
        if host in self._unreachable:
            raise httpcore.ConnectError(f"{host} takes no connection")
        self.sent.append(b"")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return _Stream(self, len(self.sent) - 1, answer)


class _Stream(httpcore.AsyncMockStream):
    def __init__(self, wire: Wire, number: int, answer: bytes) -> None:
        super().__init__([answer])
        self._wire = wire
        self._number = number

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        self._wire.sent[self._number] += buffer

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        self._wire.server_names.append(server_hostname)
        return self


class Rerouted(httpcore.AsyncNetworkBackend):
    """A network in which every address is a port of this machine."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, int]] = []
        self._port = port

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore names it)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, port))
        return await httpcore.AnyIOBackend().connect_tcp(
            "127.0.0.1", self._port, timeout, local_address, socket_options
        )


class Names:
    """DNS: each question is given the next of ``answers``, the last of them again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[Address]:  # noqa: ARG002
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(text) for text in answer]


async def fetch(url: str, gate: SourceGate, names: Names, wire: Wire) -> bytes:
    """Ask for a file as the fetcher does; return its bytes.

    Raises:
        GexlakeError: as the fetcher would.
    """
    async with (
        new_client(1, 1, GatedBackend(gate, names, wire), _TRUST) as client,
        HttpSource(client, gate).open(url) as body,
    ):
        return b"".join([chunk async for chunk in body.chunks])
