"""Duty: have missing minute bars found, and requests for them queued, once a day.

Intake knows the registry and the calendar of the exchange, and limits how many requests a day are queued.
"""

from __future__ import annotations

from datetime import time
from typing import Protocol

from gexlake.api.chronox.runs import GapsDetected
from services.janitor.duty import Counts, Daily


class Gaps(Protocol):
    """Intake's search for gaps."""

    async def detect_gaps(self) -> GapsDetected:
        """Have missing minutes found, and requests for them queued.

        Raises:
            GexlakeError: that is not possible.
        """
        ...


class GapDetection:
    """The duty.

    Args:
        at: the time of day (UTC).
        gaps: intake.
    """

    name = "gap_detection"

    def __init__(self, at: time, gaps: Gaps) -> None:
        self.trigger = Daily(at)
        self._gaps = gaps

    async def run_once(self) -> Counts:
        """Have gaps found and filled.

        Raises:
            GexlakeError: that is not possible.
        """
        found = await self._gaps.detect_gaps()
        return {
            "detected": found.detected,
            "resolved": found.resolved,
            "open": found.open,
            "missing_minutes": found.missing_minutes,
            "fills_queued": found.fills_queued,
            "fills_left": found.fills_left,
        }
