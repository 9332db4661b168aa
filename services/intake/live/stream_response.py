"""Live snapshots as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from services.intake.live.events import EventFilter, as_sse
from services.intake.live.feed_hub import FeedHub, Gap
from services.intake.live.feed_ring import Closed, CutOff
from services.intake.live.reader_connection import HEARTBEAT_S, ReaderConnection, Stalled
from services.intake.live.replay_feed import ReplayFeed

_RETRY_MS: Final = 1000
"""After how long a client connects again."""


class SnapshotStream(EventSourceResponse):
    """A response that goes on until the client hangs up.

    Args:
        feed: where the events come from; those of replays have no ids.
        wanted: which of them.
        after: they begin after this place of FEED.
        gap: what is missing before them.
        send_timeout_s: how long the client may read nothing.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: FeedHub | ReplayFeed,
        wanted: EventFilter,
        after: int,
        gap: Gap | None,
        send_timeout_s: float,
    ) -> None:
        super().__init__(
            self._chunks(),
            sep="\n",
            ping=HEARTBEAT_S,
            ping_message_factory=lambda: ServerSentEvent(comment="heartbeat", sep="\n"),
            send_timeout=send_timeout_s,
            media_type=self.media_type,
        )
        self._feed = feed
        self._wanted = wanted
        self._after = after
        self._gap = gap
        self._connection: ReaderConnection | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._connection = ReaderConnection(self._feed, scope)

        async def serve() -> None:
            try:
                await super(SnapshotStream, self).__call__(scope, receive, send)
            except SendTimeoutError as error:
                raise Stalled from error

        await self._connection.run(serve, receive)

    async def _chunks(self) -> AsyncIterator[bytes]:
        if isinstance(self._feed, ReplayFeed):
            yield b"retry: %d\n\n" % _RETRY_MS
        else:
            # With the id, a client that has seen no event yet comes back to the same place.
            yield b"retry: %d\nid: %d\n\n" % (_RETRY_MS, self._after)
        if self._gap is not None:
            yield b"event: gap\ndata: %s\n\n" % gap_json(self._gap)
        try:
            async with aclosing(self._feed.events(self._wanted, self._after)) as batches:
                async for events in batches:
                    yield as_sse(events)
        except CutOff as error:
            if self._connection is not None:
                self._connection.cut_off(error.reason)
            yield b": cut off: this reader is behind; connect again with Last-Event-ID\n\n"
        except Closed:
            yield b": the stream ends here; connect again with Last-Event-ID\n\n"


def gap_json(gap: Gap) -> bytes:
    """Return the data of the event ``gap``."""
    return msgspec.json.encode(
        {"event": "gap", "after": gap.after, "first": gap.first, "message": gap.message}
    )
