"""A TCP proxy that can stop forwarding: to either end, the network drops every packet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_CHUNK_BYTES: Final = 64 * 1024


class Proxy:
    """Forwards connections to a port of the loopback, or holds everything that is sent."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._forwards = asyncio.Event()
        self._forwards.set()

    def drop(self) -> None:
        """Forward nothing; connections stay open, and new ones are not answered."""
        self._forwards.clear()

    def restore(self) -> None:
        """Forward again, also what was held: TCP would have sent it again."""
        self._forwards.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either end closes it."""
        with suppress(OSError):
            await self._forwards.wait()
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, target_writer))
                    pumps.create_task(self._pump(target_reader, writer))
            finally:
                target_writer.close()
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._forwards.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy_to(target_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy to a port of the loopback."""
    proxy = Proxy(target_port)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.restore()
        server.close()
