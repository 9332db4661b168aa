"""Duty: have the market snapshots of registered symbols fetched, every few minutes."""

from __future__ import annotations

from typing import Protocol

from gexlake.api.chronox.runs import SnapshotsRefreshed
from services.janitor.duty import Counts, Every


class Snapshots(Protocol):
    """Intake's jobs for snapshots."""

    async def refresh_snapshots(self) -> SnapshotsRefreshed:
        """Have the snapshots of all symbols with that phase fetched.

        Raises:
            GexlakeError: that is not possible.
        """
        ...


class SnapshotRefresh:
    """The duty.

    Args:
        every_s: seconds from one round to the next.
        snapshots: intake.
    """

    name = "snapshot_refresh"

    def __init__(self, every_s: float, snapshots: Snapshots) -> None:
        self.trigger = Every(every_s, at_start=False)
        self._snapshots = snapshots

    async def run_once(self) -> Counts:
        """Have a job queued for each 250 symbols; a batch whose job has not ended is left out.

        Raises:
            GexlakeError: that is not possible.
        """
        refreshed = await self._snapshots.refresh_snapshots()
        return {
            "symbols": refreshed.symbols,
            "queued": len(refreshed.queued),
            "under_way": refreshed.under_way,
        }
