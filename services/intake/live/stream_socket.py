"""Live snapshots over a WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.intake.live.events import EventFilter
from services.intake.live.feed_hub import FeedHub, Gap
from services.intake.live.feed_ring import Closed, CutOff
from services.intake.live.reader_connection import ReaderConnection, Stalled
from services.intake.live.stream_response import gap_json

_SERVICE_RESTART = 1012
_TRY_AGAIN_LATER = 1013


class SnapshotSocket:
    """A WebSocket that was accepted.

    Args:
        websocket: the connection.
        hub: where the events come from.
        send_timeout_s: how long the client may read nothing.
    """

    def __init__(self, websocket: WebSocket, hub: FeedHub, send_timeout_s: float) -> None:
        self._websocket = websocket
        self._hub = hub
        self._send_timeout_s = send_timeout_s
        self._connection = ReaderConnection(hub, websocket.scope)

    async def serve(self, wanted: EventFilter, after: int, gap: Gap | None) -> None:
        """Send events until the client hangs up or there are no more.

        Args:
            wanted: which events.
            after: they begin after this place of FEED.
            gap: what is missing before them.
        """

        async def send_until_closed() -> None:
            sending = asyncio.create_task(self._send_events(wanted, after, gap))
            receiving = asyncio.create_task(self._until_client_closes())
            try:
                await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                for task in (sending, receiving):
                    task.cancel()
                await asyncio.gather(sending, receiving, return_exceptions=True)

        with suppress(WebSocketDisconnect):
            await self._connection.run(send_until_closed, self._websocket.receive)

    async def _send_events(self, wanted: EventFilter, after: int, gap: Gap | None) -> None:
        await self._send(msgspec.json.encode({"id": after, "event": "start"}))
        if gap is not None:
            await self._send(gap_json(gap))
        try:
            async with aclosing(self._hub.events(wanted, after)) as batches:
                async for events in batches:
                    for event in events:
                        await self._send(event.json)
        except CutOff as error:
            self._connection.cut_off(error.reason)
            await self._websocket.close(_TRY_AGAIN_LATER, "behind: connect again with last_event_id")
        except Closed:
            await self._websocket.close(_SERVICE_RESTART, "connect again with last_event_id")

    async def _send(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._websocket.send_text(message.decode())
        except TimeoutError as error:
            raise Stalled from error

    async def _until_client_closes(self) -> None:
        while (await self._websocket.receive())["type"] != "websocket.disconnect":
            pass  # nothing is expected of clients
