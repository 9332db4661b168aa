"""When a backfill ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from gexlake.api.chronox.bars import DayRange, SymbolCoverage
from gexlake.api.chronox.symbols import Phase, RegisteredSymbol, Run, Strategy
from services.intake.chronox.errors import PhaseFailed
from services.intake.chronox.jobs import JobEnd
from services.intake.chronox.phases import Phases

NOW = datetime(2025, 11, 17, 15, tzinfo=UTC)
AAPL = RegisteredSymbol(symbol="AAPL", strategy=Strategy.FLATPACK_API, created_at=NOW, updated_at=NOW)
RUN = Run(run_id=uuid4(), owner="me", phases=(Phase.BACKFILL,), phase=Phase.BACKFILL, started_at=NOW)


class FailingJobs:
    """The jobs of odd months fail, the others are deferred for days."""

    def __init__(self) -> None:
        self.asked = 0

    async def bars(self, *_: Any) -> JobEnd:
        self.asked += 1
        if self.asked % 2:
            return JobEnd(f"job {self.asked}", error="HTTP 403")
        await asyncio.Event().wait()
        raise AssertionError


class EmptyLake:
    async def of(self, _symbols: Sequence[str], _days: DayRange) -> Mapping[str, SymbolCoverage]:
        return {}


async def ignore(_done: int, _total: int) -> None:
    """Write no progress."""


async def test_a_backfill_with_three_failed_jobs_waits_for_no_others() -> None:
    jobs = FailingJobs()
    phases = Phases(
        cast("Any", jobs), cast("Any", None), cast("Any", EmptyLake()), lambda: (), 365, lambda: NOW
    )
    with pytest.raises(PhaseFailed, match=r"\d of 13 jobs failed, first job 1: HTTP 403"):
        async with asyncio.timeout(5):
            await phases.execute(Phase.BACKFILL, AAPL, RUN, ignore)
    assert jobs.asked < 13
