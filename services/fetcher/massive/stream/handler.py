"""What takes the bars of the stream."""

from __future__ import annotations

from typing import Protocol

from services.fetcher.massive.stream.events import Frame


class StreamHandler(Protocol):
    """Takes what the stream brings; an error that is ``Transient`` makes the stream connect again."""

    async def subscribed(self, symbols: frozenset[str]) -> None:
        """Take in which symbols are new on this connection: bars before may be missing."""

    def unsubscribed(self, symbols: frozenset[str]) -> None:
        """Take in which symbols are not followed any more."""

    async def frame(self, frame: Frame) -> None:
        """Take the bars of one or more frames, in their order."""

    async def fill(self) -> None:
        """Fill what is missing, until cancelled at the end of the connection."""
