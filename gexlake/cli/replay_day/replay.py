"""A replay: the snapshots of a stored day, at their pace, with faults, to ``POST /gex``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gexlake.cli.replay_day.faults import FaultPlan
from gexlake.cli.replay_day.pace import Pace
from gexlake.cli.replay_day.posting import Poster
from gexlake.cli.replay_day.records import vendor_record
from gexlake.cli.replay_day.stored_day import DayPart, Snapshot


@dataclass
class Replay:
    """One replay, and how far it is.

    Args:
        part: what is replayed.
        plan: which faults it has.
        pace: when each record is due.
        poster: where records go.
        read: how many snapshots were read.
        at_ms: the last one that was.
    """

    part: DayPart
    plan: FaultPlan[bytes]
    pace: Pace
    poster: Poster
    read: int = 0
    at_ms: int = 0

    async def run(self, snapshots: AsyncGenerator[Snapshot, None], show: Callable[[], None]) -> None:
        """Post all snapshots; ``show`` is called after each.

        Raises:
            CommandFailed: a snapshot cannot be read, or a record cannot be posted.
        """
        async with self.poster, aclosing(snapshots):
            async for snapshot in snapshots:
                self.at_ms = snapshot["timestamp"]
                await asyncio.sleep(self.pace.wait_s(self.at_ms))
                await self._post(
                    self.plan.take(vendor_record(self.part.ticker, self.part.endpoint, snapshot))
                )
                self.read += 1
                self.pace.sent(self.at_ms)
                show()
            await self._post(self.plan.rest())

    async def _post(self, bodies: list[bytes]) -> None:
        for body in bodies:
            await self.poster.post(body)
