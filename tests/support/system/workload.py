"""Random requests for days, good and bad, each with what must become of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from simulator.generator import Day
from simulator.vendor import Fault
from tests.support.system.clients import Accepted, PatientClient
from tests.support.system.running import System

Records = list[dict[str, Any]]

_DONE: Final = {"completed", "skipped"}
_PASSING: Final = (
    Fault(),
    Fault(),
    Fault(bytes_per_s=10_000),
    Fault(bytes_per_s=30_000, ranges=False),
    Fault(status=503, times=1),
    Fault(cut_after_bytes=5_000, times=1),
)
"""How the vendor serves a file that can be fetched: at once, slowly, or at the second request."""


@dataclass
class Outcome:
    """What a day's job must end as, and what its partition must hold."""

    day: Day
    job_id: str
    states: set[str]
    records: Records
    """Empty: there must be no partition."""
    error: str = ""
    """A part of the error's text."""


@dataclass
class Requester:
    """Makes the requests of one day; each method is one way to do so."""

    system: System
    client: PatientClient
    source: random.Random

    async def once(self, day: Day) -> Outcome:
        """Post a good day."""
        return await self._good(day, await self.client.post(day))

    async def several_times_at_once(self, day: Day) -> Outcome:
        """Post a good day three times at once, one of them with another signature."""
        queries = ("sig=one", "sig=one", "sig=two")
        accepted = await asyncio.gather(*(self.client.post(day, query) for query in queries))
        assert len({each.job_id for each in accepted}) == 1
        return await self._good(day, max(accepted, key=lambda each: each.generation))

    async def again(self, day: Day) -> Outcome:
        """Post a good day, and again when it is finished."""
        await self.client.finished(await self.client.post(day))
        return await self._good(day, await self.client.post(day, "sig=fresh"))

    async def replayed(self, day: Day) -> Outcome:
        """Post a good day and replay it, from either stage."""
        await self.client.finished(first := await self.client.post(day))
        stage = self.source.choice(("fetch", "import"))
        return await self._good(day, await self.client.replay(first.job_id, stage=stage))

    async def forced(self, day: Day) -> Outcome:
        """Force a smaller file upon the partition, while the job runs or when it is finished."""
        first = await self.client.post(day)
        if self.source.random() < 0.5:
            await self.client.finished(first)
        records = self._offer_fewer(day)
        accepted = await self.client.post(day, "sig=corrected", force=True, reason="corrected by the vendor")
        return replace(await self._good(day, accepted), records=records)

    async def worse(self, day: Day) -> Outcome:
        """Post a smaller file without force: it is refused, and the partition stays."""
        await self.client.finished(await self.client.post(day))
        self._offer_fewer(day)
        outcome = await self._failed(day, await self.client.post(day, "sig=worse"), "force")
        return replace(outcome, records=list(day.records()))

    async def bad(self, day: Day) -> Outcome:
        """Post a file that is refused."""
        self._offer_bad(day)
        return await self._failed(day, await self.client.post(day))

    async def missing(self, day: Day) -> Outcome:
        """Post a file that the vendor does not have."""
        self.system.vendor.inject_fault(day.file_name, Fault(status=404))
        return await self._failed(day, await self.client.post(day), "404")

    async def mended(self, day: Day) -> Outcome:
        """Post a bad file, and replay the job once the vendor has a good one."""
        self._offer_bad(day)
        failed = await self._failed(day, await self.client.post(day))
        self.system.offer(day)
        return await self._good(day, await self.client.replay(failed.job_id, stage="fetch"))

    async def _good(self, day: Day, accepted: Accepted) -> Outcome:
        await self.client.finished(accepted)
        return Outcome(day, accepted.job_id, _DONE, list(day.records()))

    async def _failed(self, day: Day, accepted: Accepted, error: str = "") -> Outcome:
        await self.client.finished(accepted)
        return Outcome(day, accepted.job_id, {"failed"}, [], error)

    def _offer_fewer(self, day: Day) -> Records:
        """Let the vendor serve two thirds of the day's records, and return them."""
        records = list(day.records())[: day.snapshots * 2 // 3]
        self.system.offer(day, json.dumps(records).encode())
        return records

    def _offer_bad(self, day: Day) -> None:
        text = json.dumps(list(day.records()))
        contents = (
            text[: len(text) // 2],
            text.replace('"NQ_NDX"', '"SPX"', 1),
            text.replace('"spot"', '"sp"', 1),
            "[]",
            "<html>expired</html>",
        )
        self.system.offer(day, self.source.choice(contents).encode())


Way = Callable[[Requester, Day], Awaitable[Outcome]]

WAYS: Final[tuple[Way, ...]] = (
    Requester.once,
    Requester.once,
    Requester.several_times_at_once,
    Requester.again,
    Requester.replayed,
    Requester.replayed,
    Requester.forced,
    Requester.worse,
    Requester.bad,
    Requester.missing,
    Requester.mended,
)


async def request_days(
    system: System, client: PatientClient, source: random.Random, count: int, over_s: float
) -> list[Outcome]:
    """Request ``count`` days, each in some way at a time within ``over_s``, and return the outcomes."""

    async def request(day: Day, way: Way, at_s: float, seed: int) -> Outcome:
        await asyncio.sleep(at_s)
        return await way(Requester(system, client, random.Random(seed)), day)

    requests = []
    for number in range(count):
        day = system.new_day()
        system.vendor.inject_fault(day.file_name, source.choice(_PASSING))
        way = WAYS[number % len(WAYS)]
        requests.append(request(day, way, source.uniform(0, over_s), source.getrandbits(32)))
    return await asyncio.gather(*requests)
