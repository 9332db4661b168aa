"""Plan a backfill and queue what is missing, a job a day, as if each had been posted by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from gexlake.api.backfill import Standing
from gexlake.api.services import DaysRequest, KnownDay
from services.intake.backfill.plan import (
    Known,
    PlannedDay,
    as_queued,
    no_data,
    no_key_anywhere,
    plan,
    request_of,
    under_way,
)
from services.intake.backfill.request import BackfillRequest
from services.intake.calls.known_days import known_days
from services.intake.errors import Conflict
from services.intake.history.commands import JobCommands
from services.intake.state.broker_link import BrokerLink
from services.intake.state.projection import Projection
from shared.gexbot.partition import Partition
from shared.gexbot.vendor_api import VendorApi

_AT_ONCE: Final = 32
"""The maximum number of jobs published concurrently."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Backfills:
    """Brings days in by way of the vendor's API.

    Args:
        link: the broker, if it is there.
        projection: what is known of jobs.
        commands: queues jobs.
        api: the vendor's.
        clock: the present moment.
    """

    link: BrokerLink
    projection: Projection
    commands: JobCommands
    api: VendorApi
    clock: Callable[[], datetime]

    async def run(self, asked: BackfillRequest) -> tuple[PlannedDay, ...]:
        """Work out what is missing and queue it, unless it is a dry run.

        A repeated request continues where the last one ended: days queued by then are under way.

        Raises:
            BrokerUnavailable: no acks in time; some jobs may be queued.
            StreamFull: JOBS is at its byte cap; some jobs may be queued.
            Conflict: no fetcher has a key for the vendor's API; nothing is queued.
            NotReady: the importer does not answer, or intake does not know yet which jobs there are.
        """
        self.projection.require_rebuilt()
        days = plan(asked, await self._known(asked), self.api)
        if not asked.dry_run:
            self._require_key(days)
            days = await self._queued(days, asked)
        standings = [day.standing for day in days]
        log.info("backfill_planned", **{standing: standings.count(standing) for standing in Standing})
        return days

    def _require_key(self, days: Sequence[PlannedDay]) -> None:
        if no_key_anywhere(days, self.projection.heartbeats(), self.clock()):
            raise Conflict(
                None,
                "vendor_key",
                "the fetcher has no key for the vendor's API, so nothing is queued: set GEXBOT_API_KEY where "
                "it runs (in .env), start gexlake again and repeat the request",
            )

    async def _known(self, asked: BackfillRequest) -> Known:
        if asked.force or not asked.partitions:
            return Known()  # whatever the lake holds, it makes no difference
        request = DaysRequest(tickers=asked.tickers, endpoints=asked.endpoints, days=asked.trading_days)
        # Read before the request to the importer: a job that ends in between is in one of the two.
        unfinished = under_way(self.projection.jobs)
        known = await known_days(self.link.require(), request)
        return Known(
            held=frozenset(partition_of(day) for day in known if day.standing == "held"),
            # The ledger keeps it for good, but records it a moment later.
            no_data={partition_of(day): day.at for day in known if day.standing == "no_data"}
            | no_data(self.projection.jobs),
            under_way=unfinished,
        )

    async def _queued(self, days: Sequence[PlannedDay], asked: BackfillRequest) -> tuple[PlannedDay, ...]:
        done: list[PlannedDay] = []
        for start in range(0, len(days), _AT_ONCE):
            batch = (self._queue(day, asked) for day in days[start : start + _AT_ONCE])
            for ended in await asyncio.gather(*batch, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
                done.append(ended)
        return tuple(done)

    async def _queue(self, day: PlannedDay, asked: BackfillRequest) -> PlannedDay:
        if day.standing is not Standing.PLANNED:
            return day
        request = request_of(day.partition, asked, self.api)
        accepted = await self.commands.accept(request)
        return as_queued(day, was_under_way=not accepted.is_new)


def partition_of(day: KnownDay) -> Partition:
    """Return the partition that the importer speaks of."""
    return Partition(day.ticker, day.endpoint, day.trading_day)
