"""Frames between the task that reads them and the task that handles them."""

from __future__ import annotations

import asyncio

from services.fetcher.massive.stream.events import Frame
from shared.errors import Transient


class HandlerTooSlow(Transient):
    """More bars wait than may: the connection is ended, and what is missed is filled from REST."""

    def __init__(self, max_bars: int) -> None:
        super().__init__(f"more than {max_bars} streamed bars wait to be published")


class FrameBuffer:
    """Joins the frames that arrive while one is handled.

    Args:
        max_bars: how many bars may wait.
    """

    def __init__(self, max_bars: int) -> None:
        self._max_bars = max_bars
        self._waiting = Frame()
        self._changed = asyncio.Event()
        self._is_closed = False

    def put(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            HandlerTooSlow: too many bars wait.
        """
        if not frame.bars and not frame.rejected and not frame.subscribed:
            return
        if len(self._waiting.bars) + len(frame.bars) > self._max_bars:
            raise HandlerTooSlow(self._max_bars)
        self._waiting.bars += frame.bars
        self._waiting.rejected += frame.rejected
        self._waiting.subscribed |= frame.subscribed
        self._changed.set()

    def close(self) -> None:
        """End the buffer: what waits can still be taken."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> Frame | None:
        """Return all that waits, as one frame, once there is something; None at the end."""
        await self._changed.wait()
        frame, self._waiting = self._waiting, Frame()
        if self._is_closed and not frame.bars and not frame.rejected and not frame.subscribed:
            return None
        if not self._is_closed:
            self._changed.clear()
        return frame
