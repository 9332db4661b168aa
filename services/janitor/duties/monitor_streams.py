"""Duty: have the times of streamed bars noted in the registry, and warn while the stream is behind."""

from __future__ import annotations

from typing import Final, Protocol

import structlog

from gexlake.api.chronox.runs import StreamsChecked
from services.janitor.duty import Counts, Every

_NAMED: Final = 20
"""How many symbols the warning names."""

log = structlog.get_logger(__name__)


class Streams(Protocol):
    """Intake's view of the streams."""

    async def check_streams(self) -> StreamsChecked:
        """Have the times of streamed bars compared with the clock.

        Raises:
            GexlakeError: that is not possible.
        """
        ...


class StreamMonitoring:
    """The duty.

    Args:
        every_s: seconds from one round to the next.
        streams: intake.
    """

    name = "stream_monitoring"

    def __init__(self, every_s: float, streams: Streams) -> None:
        self.trigger = Every(every_s, at_start=False)
        self._streams = streams

    async def run_once(self) -> Counts:
        """Have the streams checked; only stale ones count as something done.

        Raises:
            GexlakeError: that is not possible.
        """
        checked = await self._streams.check_streams()
        if checked.stale:
            named = list(checked.stale[:_NAMED])
            log.warning("streams_stale", symbols=named, count=len(checked.stale), fresh=checked.fresh)
        return {"stale": len(checked.stale)}
