"""The connection of a reader of live snapshots: how it ends if that is too slow, or intake stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from starlette.types import Receive, Scope

from services.intake.live.feed_hub import FeedHub
from services.intake.live.feed_ring import CutOffReason
from services.intake.live.replay_feed import ReplayFeed

HEARTBEAT_S: Final = 15.0
ABORT: Final = "gexlake.abort"
"""The ASGI extension that ends a connection at once, even if the client does not read."""
_END_WITHIN_S: Final = 1.0
log = structlog.get_logger(__name__)


class Stalled(TimeoutError):
    """The client has read nothing for too long."""


class ReaderConnection:
    """Ends one connection in time.

    Args:
        hub: where its events come from.
        scope: the connection's, by ASGI.
    """

    def __init__(self, hub: FeedHub | ReplayFeed, scope: Scope) -> None:
        self._hub = hub
        self._scope = scope
        self._limit = asyncio.timeout(None)

    async def run(self, serve: Callable[[], Awaitable[None]], receive: Receive) -> None:
        """Serve the reader; abort the connection if it does not take its end.

        Args:
            serve: sends events until the client hangs up or there are no more; raises ``Stalled``.
            receive: the connection's, by ASGI.
        """
        try:
            async with self._limit:
                stopping = asyncio.create_task(self._end_with_hub())
                try:
                    await serve()
                finally:
                    stopping.cancel()
        except Stalled:
            self.cut_off(CutOffReason.STALLED)
            await self._abort(receive)
        except TimeoutError:
            await self._abort(receive)

    def cut_off(self, reason: CutOffReason) -> None:
        """Note that the reader is cut off; the connection has a second to end."""
        client = self._scope.get("client")
        log.warning("stream_reader_cut_off", reason=reason, client=client[0] if client else None)
        self._hub.readers.count_cut_off(reason)
        self._end_soon()

    async def _end_with_hub(self) -> None:
        await self._hub.stopping.wait()
        self._end_soon()

    def _end_soon(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self._limit.reschedule(asyncio.get_running_loop().time() + _END_WITHIN_S)

    async def _abort(self, receive: Receive) -> None:
        extension: dict[str, Any] = self._scope.get("extensions", {}).get(ABORT, {})
        if abort := extension.get("abort"):
            abort()
            # The server takes a response that is not complete for an error until it knows of the end.
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_WITHIN_S):
                    while not (await receive())["type"].endswith(".disconnect"):
                        pass
