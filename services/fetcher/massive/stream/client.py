"""Follow minute bars on the vendor's websocket, reconnecting for as long as it takes.

Frames are read in one task and handled in another, because the vendor cuts off slow readers. After each
subscription, the handler is told since when bars may be missing, and fills them from REST.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

import gexlake
from services.fetcher.massive.errors import MassiveKeyRefused
from services.fetcher.massive.stream.events import Frame, Status, decode_frame
from services.fetcher.massive.stream.frame_buffer import FrameBuffer
from services.fetcher.sources.response_policy import host_of
from shared.errors import Transient

_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
_TOPICS_A_FRAME: Final = 500

log = structlog.get_logger(__name__)


class StreamHandler(Protocol):
    """Takes what the stream brings; an error that is ``Transient`` makes the stream connect again."""

    async def subscribed(self, since_ms: int | None) -> None:
        """Fill what may be missing.

        Args:
            since_ms: the latest minute that was handled before, which may have changed since; None at first.
        """

    async def frame(self, frame: Frame) -> None:
        """Take the bars of one or more frames, in their order."""


@dataclass(frozen=True)
class StreamLimits:
    """Times and sizes.

    Args:
        first_retry_s: the pause before the second connection; it doubles until bars arrive.
        max_retry_s: the longest pause.
        too_many_retry_s: the pause after the vendor counts too many connections of the account.
        answer_s: how long the vendor may take to accept a connection, the key and the subscription.
        ping_s: how often the connection is probed, and how long a probe may take.
        max_buffered: how many bars may wait for the handler.
    """

    first_retry_s: float = 1.0
    max_retry_s: float = 60.0
    too_many_retry_s: float = 60.0
    answer_s: float = 10.0
    ping_s: float = 15.0
    max_buffered: int = 200_000


class TooManyConnections(Transient):
    """Another connection of the account is open; the vendor allows one."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} counts too many connections of the account: end the other one")


class NotSubscribed(Transient):
    """The vendor did not accept the connection."""

    def __init__(self, host: str, status: Status) -> None:
        super().__init__(f"{host} answered {status.status!r} ({status.message!r}) in place of a subscription")


class BarStream:
    """Follows the minute bars of symbols.

    Args:
        url: of the cluster, such as ``wss://socket.massive.com/stocks``.
        key: the API key.
        symbols: which; ``*`` for all.
        handler: takes the bars.
        limits: times and sizes.
    """

    def __init__(
        self,
        url: str,
        key: SecretStr,
        symbols: Sequence[str],
        handler: StreamHandler,
        limits: StreamLimits = StreamLimits(),
    ) -> None:
        self._url = url
        self._host = host_of(url)
        self._key = key
        self._topics = [f"AM.{symbol}" for symbol in symbols]
        self._handler = handler
        self._limits = limits
        self._since_ms: int | None = None
        self._has_bars = False
        """Whether this connection has brought a bar: only then the pause starts from the beginning."""
        self.unknown: Counter[str] = Counter()
        """How many events of types that are not used have arrived, by type."""
        self.connections = 0
        """How often a subscription was accepted."""

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until ``stop`` is set; bars that have arrived are handled first.

        Raises:
            MassiveKeyRefused: the vendor does not accept the key.
            Terminal: the handler cannot go on.
        """
        pause_s = self._limits.first_retry_s
        while not stop.is_set():
            self._has_bars = False
            too_many = False
            try:
                await self._follow(stop)
                problem = "the connection was closed"
            except TooManyConnections as error:
                problem, too_many = str(error), True
            except (Transient, WebSocketException, OSError, TimeoutError) as error:
                problem = str(error) or type(error).__name__
            if stop.is_set():
                return
            pause_s = self._limits.first_retry_s if self._has_bars else pause_s
            wait_s = self._limits.too_many_retry_s if too_many else pause_s
            log.warning("stream_interrupted", host=self._host, error=problem, retry_in_s=wait_s)
            await _wait(stop, wait_s)
            pause_s = min(2 * pause_s, self._limits.max_retry_s)

    async def _follow(self, stop: asyncio.Event) -> None:
        options = self._limits
        async with connect(
            self._url,
            open_timeout=options.answer_s,
            ping_interval=options.ping_s,
            ping_timeout=options.ping_s,
            close_timeout=1,
            max_size=_MAX_FRAME_BYTES,
            proxy=None,
            user_agent_header=f"gexlake/{gexlake.__version__}",
        ) as connection:
            buffer = FrameBuffer(options.max_buffered)
            async with asyncio.timeout(options.answer_s):
                await self._subscribe(connection, buffer)
            self.connections += 1
            log.info("stream_subscribed", host=self._host, topics=len(self._topics))
            await self._exchange(connection, buffer, stop)

    async def _subscribe(self, connection: ClientConnection, buffer: FrameBuffer) -> None:
        """Authenticate and subscribe; bars that arrive with the answer go to the buffer."""
        await self._expect(connection, buffer, "connected")
        await _send(connection, "auth", self._key.get_secret_value())
        await self._expect(connection, buffer, "auth_success")
        for start in range(0, len(self._topics), _TOPICS_A_FRAME):
            await _send(connection, "subscribe", ",".join(self._topics[start : start + _TOPICS_A_FRAME]))
        await self._expect(connection, buffer, "success")

    async def _expect(self, connection: ClientConnection, buffer: FrameBuffer, wanted: str) -> None:
        while True:
            frame = self._decoded(await connection.recv())
            buffer.put(frame)
            for status in frame.statuses:
                self._check(status)
            if any(status.status == wanted for status in frame.statuses):
                return

    async def _exchange(self, connection: ClientConnection, buffer: FrameBuffer, stop: asyncio.Event) -> None:
        reading = asyncio.create_task(self._read(connection, buffer))
        handling = asyncio.create_task(self._handle(buffer))
        stopping = asyncio.create_task(stop.wait())
        tasks = (reading, handling, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                await connection.close()
                await asyncio.wait([reading])
                buffer.close()
                await asyncio.wait([handling])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (handling, reading):
            if not task.cancelled():
                task.result()

    async def _read(self, connection: ClientConnection, buffer: FrameBuffer) -> None:
        async for content in connection:
            frame = self._decoded(content)
            for status in frame.statuses:
                self._check(status)
            buffer.put(frame)

    async def _handle(self, buffer: FrameBuffer) -> None:
        await self._handler.subscribed(self._since_ms)
        while (frame := await buffer.take()) is not None:
            await self._handler.frame(frame)
            if frame.bars:
                self._has_bars = True
                latest = max(found.bar.timestamp for found in frame.bars)
                self._since_ms = max(latest, self._since_ms or 0)

    def _decoded(self, content: str | bytes) -> Frame:
        try:
            frame = decode_frame(content)
        except ValueError as error:
            log.warning("frame_not_read", host=self._host, error=str(error))
            self.unknown["not JSON"] += 1
            return Frame()
        self.unknown += frame.unknown
        return frame

    def _check(self, status: Status) -> None:
        match status.status:
            case "auth_failed":
                raise MassiveKeyRefused(self._host)
            case "max_connections":
                raise TooManyConnections(self._host)
            case "auth_timeout" | "error":
                raise NotSubscribed(self._host, status)


async def _send(connection: ClientConnection, action: str, params: str) -> None:
    await connection.send(msgspec.json.encode({"action": action, "params": params}).decode())


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
