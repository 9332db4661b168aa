"""The websocket: authentication, subscriptions, minute bars, and how the vendor ends connections.

with FakeStream() as stream:
    stream.send([minute_event("AAPL", bar)])
    stream.disconnect(1000)
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.massive.bars import MINUTE_MS, Bar
from simulator.massive.server import KEY

_Event = dict[str, Any]
_Result = TypeVar("_Result")
_WITHIN_S: Final = 10
POLICY_VIOLATION: Final = 1008


@dataclass(eq=False)
class _Client:
    connection: ServerConnection
    is_authenticated: bool = False
    topics: set[str] = field(default_factory=set)


class FakeStream:
    """A websocket server in a thread of its own; ``port`` 0 takes a free one.

    Args:
        key: the API key that clients must send.
        max_connections: how many clients may subscribe at a time; a further one is told so after it has
            subscribed, and closed with 1008.
        port: the port to listen on.
    """

    def __init__(self, *, key: str = KEY, max_connections: int = 1, port: int = 0) -> None:
        self.key = key
        self.max_connections = max_connections
        self.accepted = 0
        """How many connections were accepted."""
        self.frames: list[_Event] = []
        """What clients have sent, but for their keys."""
        self._port = port
        self._clients: list[_Client] = []
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="massive-stream", daemon=True)

    @property
    def url(self) -> str:
        """The URL of the cluster of stocks."""
        assert self._server is not None  # noqa: S101 (it is started by entering its context)
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/stocks"

    @property
    def topics(self) -> set[str]:
        """What the connected clients have subscribed to."""
        return {topic for client in tuple(self._clients) for topic in client.topics}

    def send(self, events: Sequence[_Event]) -> None:
        """Send each client one frame with the events that it has subscribed to."""
        self._run(self._send(events))

    def send_text(self, text: str) -> None:
        """Send every client a frame as it is."""
        self._run(self._send_all(text))

    def disconnect(self, code: int | None = None) -> None:
        """Close all connections with a code; None breaks them off, which clients see as 1006."""
        self._run(self._disconnect(code))

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WITHIN_S)

    async def _start(self) -> Server:
        return await serve(self._serve, "127.0.0.1", self._port, close_timeout=1)

    async def _stop(self) -> None:
        assert self._server is not None  # noqa: S101 (it was started)
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        client = _Client(connection)
        self.accepted += 1
        self._clients.append(client)
        try:
            with suppress(ConnectionClosed):
                await _status(connection, "connected", "Connected Successfully")
                async for frame in connection:
                    await self._handle(client, json.loads(frame))
        finally:
            self._clients.remove(client)

    async def _handle(self, client: _Client, frame: _Event) -> None:
        self.frames.append({**frame, "params": "…"} if frame["action"] == "auth" else frame)
        match frame["action"]:
            case "auth":
                client.is_authenticated = frame["params"] == self.key
                if not client.is_authenticated:
                    await _status(client.connection, "auth_failed", "authentication failed")
                    await client.connection.close(POLICY_VIOLATION)
                    return
                await _status(client.connection, "auth_success", "authenticated")
            case "subscribe" if client.is_authenticated:
                await self._subscribe(client, frame["params"].split(","))
            case "unsubscribe" if client.is_authenticated:
                client.topics -= set(frame["params"].split(","))

    async def _subscribe(self, client: _Client, topics: Sequence[str]) -> None:
        for topic in topics:
            if topic not in client.topics:
                client.topics.add(topic)
                await _status(client.connection, "success", f"subscribed to: {topic}")
        subscribed = [each for each in self._clients if each.topics]
        if len(subscribed) > self.max_connections:
            client.topics.clear()
            await _status(client.connection, "max_connections", "Maximum number of connections exceeded.")
            await client.connection.close(POLICY_VIOLATION)

    async def _send(self, events: Sequence[_Event]) -> None:
        for client in tuple(self._clients):
            wanted = [
                event
                for event in events
                if {f"{event['ev']}.{event.get('sym')}", f"{event['ev']}.*"} & client.topics
            ]
            if wanted:
                with suppress(ConnectionClosed):
                    await client.connection.send(json.dumps(wanted))

    async def _send_all(self, text: str) -> None:
        for client in tuple(self._clients):
            await client.connection.send(text)

    async def _disconnect(self, code: int | None) -> None:
        for client in tuple(self._clients):
            if code is None:
                client.connection.transport.abort()
            else:
                await client.connection.close(code)


def minute_event(symbol: str, bar: Bar, *, day_volume: float | None = None) -> _Event:
    """Return the event ``AM`` of a bar.

    Args:
        symbol: of which.
        bar: its values.
        day_volume: accumulated volume of the day; that of the bar by default.
    """
    optional = {"vw": bar.vwap, "n": bar.trades}
    return {
        "ev": "AM",
        "sym": symbol,
        "v": bar.volume,
        "av": bar.volume if day_volume is None else day_volume,
        "op": bar.open,
        "o": bar.open,
        "c": bar.close,
        "h": bar.high,
        "l": bar.low,
        "a": bar.close,
        "z": 100,
        "s": bar.timestamp,
        "e": bar.timestamp + MINUTE_MS,
        **{name: value for name, value in optional.items() if value is not None},
    }


async def _status(connection: ServerConnection, status: str, message: str) -> None:
    await connection.send(json.dumps([{"ev": "status", "status": status, "message": message}]))
