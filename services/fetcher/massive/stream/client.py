"""Follow minute bars on the vendor's websocket, reconnecting for as long as it takes.

Frames are read in one task and handled in another, because the vendor cuts off slow readers. After each
subscription, the handler gets the new symbols before their bars, and fills what is missing beside these.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import structlog
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

import gexlake
from services.fetcher.massive.errors import MassiveKeyRefused, NotSubscribed, TooManyConnections
from services.fetcher.massive.stream.events import Frame, Status, decode_frame
from services.fetcher.massive.stream.frame_buffer import FrameBuffer
from services.fetcher.massive.stream.handler import StreamHandler
from services.fetcher.massive.stream.subscription import Subscription, frames_of
from services.fetcher.sources.response_policy import host_of
from shared.errors import Transient

_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
_CONNECTION_LOG: Final = logging.getLogger("websockets.massive")
_CONNECTION_LOG.setLevel(
    logging.INFO
)  # at DEBUG it has frames, long ones cut: parts of a key are not redacted

log = structlog.get_logger(__name__)


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


LIMITS: Final = StreamLimits()


class _Exchange(NamedTuple):
    """What belongs to one connection."""

    connection: ClientConnection
    buffer: FrameBuffer
    subscription: Subscription


class BarStream:
    """Follows the minute bars of symbols.

    Args:
        url: of the cluster, such as ``wss://socket.massive.com/stocks``.
        key: the API key.
        handler: takes the bars.
        limits: times and sizes.
    """

    def __init__(
        self, url: str, key: SecretStr, handler: StreamHandler, limits: StreamLimits = LIMITS
    ) -> None:
        self._url = url
        self._host = host_of(url)
        self._key = key
        self._handler = handler
        self._limits = limits
        self._wanted: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._accepted = asyncio.Event()
        self._has_bars = False
        """Whether this connection has brought a bar: only then the pause starts from the beginning."""
        self.is_subscribed = False
        """Whether bars arrive as they are sent."""
        self.unknown: Counter[str] = Counter()
        """How many events of types that are not used have arrived, by type."""
        self.connections = 0
        """How often a subscription was accepted."""

    def follow(self, symbols: Collection[str]) -> None:
        """Follow these symbols from now on, on the open connection if there is one."""
        self._wanted = frozenset(symbols)
        self._changed.set()

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
            logger=_CONNECTION_LOG,
            user_agent_header=f"gexlake/{gexlake.__version__}",
        ) as connection:
            exchange = _Exchange(connection, FrameBuffer(options.max_buffered), Subscription())
            async with asyncio.timeout(options.answer_s):
                await self._subscribe(exchange)
            self.connections += 1
            log.info("stream_subscribed", host=self._host, symbols=len(self._wanted))
            self.is_subscribed = True
            try:
                await self._exchange(exchange, stop)
            finally:
                self.is_subscribed = False

    async def _subscribe(self, exchange: _Exchange) -> None:
        """Authenticate and subscribe; bars that arrive with the answer go to the buffer."""
        await self._expect(exchange, "connected")
        await _send(exchange.connection, "auth", self._key.get_secret_value())
        await self._expect(exchange, "auth_success")
        self._changed.clear()
        for topics in frames_of(exchange.subscription.request(self._wanted)):
            await _send(exchange.connection, "subscribe", topics)
        await self._expect(exchange, "success")

    async def _expect(self, exchange: _Exchange, wanted: str) -> None:
        while True:
            frame = self._take(exchange, await exchange.connection.recv())
            if any(status.status == wanted for status in frame.statuses):
                return

    async def _exchange(self, exchange: _Exchange, stop: asyncio.Event) -> None:
        reading = asyncio.create_task(self._read(exchange))
        handling = asyncio.create_task(self._handle(exchange.buffer))
        filling = asyncio.create_task(self._handler.fill())
        adjusting = asyncio.create_task(self._adjust(exchange))
        tasks = (handling, reading, filling, adjusting, asyncio.create_task(stop.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                await exchange.connection.close()
                await asyncio.wait([reading])
                exchange.buffer.close()
                await asyncio.wait([handling])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (handling, reading, filling, adjusting):
            if not task.cancelled():
                task.result()

    async def _read(self, exchange: _Exchange) -> None:
        async for content in exchange.connection:
            self._take(exchange, content)

    async def _adjust(self, exchange: _Exchange) -> None:
        """Subscribe and unsubscribe as symbols come and go."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._accepted.clear()
            added = exchange.subscription.request(self._wanted)
            for topics in frames_of(added):
                await _send(exchange.connection, "subscribe", topics)
            if added:
                async with asyncio.timeout(self._limits.answer_s):
                    await self._accepted.wait()
            else:
                self._accept(exchange)
            for topics in frames_of(exchange.subscription.take_obsolete()):
                await _send(exchange.connection, "unsubscribe", topics)

    async def _handle(self, buffer: FrameBuffer) -> None:
        while (frame := await buffer.take()) is not None:
            if frame.subscribed:
                await self._handler.subscribed(frame.subscribed)
            await self._handler.frame(frame)
            self._has_bars = self._has_bars or bool(frame.bars)

    def _take(self, exchange: _Exchange, content: str | bytes) -> Frame:
        """Take in a frame, in the order of their arrival."""
        frame = self._decoded(content)
        for status in frame.statuses:
            self._check(status)
            if status.status == "success" and not status.message.lower().startswith("unsubscribed"):
                self._accept(exchange)
        exchange.buffer.put(exchange.subscription.only_followed(frame))
        return frame

    def _accept(self, exchange: _Exchange) -> None:
        new, gone = exchange.subscription.accepted()
        self._accepted.set()
        if gone:
            self._handler.unsubscribed(gone)
        if new:
            exchange.buffer.put(Frame(subscribed=new))

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
                raise NotSubscribed(self._host, status.status, status.message)


async def _send(connection: ClientConnection, action: str, params: str) -> None:
    await connection.send(msgspec.json.encode({"action": action, "params": params}).decode())


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
