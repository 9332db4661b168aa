"""Snapshots of symbols in batches: one request to the vendor for up to 250 of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from gexlake.api.chronox.runs import SnapshotsRefreshed
from gexlake.api.chronox.symbols import Phase
from services.intake.chronox.backoff import PASSING, repeated
from services.intake.chronox.errors import PhaseFailed
from services.intake.chronox.jobs import RunJobs
from services.intake.chronox.streams import PublishedTimes
from services.intake.history.commands import JobCommands
from services.intake.history.request import HistoryRequest
from shared.bus import subjects
from shared.massive.resources import MANY_SYMBOLS, MAX_SYMBOLS, Snapshots

_COLLECT_S: Final = 0.2
"""How long runs that come to this phase are collected for one request."""
_OF_RUNS: Final = range(1000, 1_000_000)
"""Numbers of the batches of runs, drawn at random: two intakes, or a refresh, have others."""
log = structlog.get_logger(__name__)


class SnapshotBatches:
    """Fetches the snapshots of symbols together.

    Args:
        jobs: queues and follows jobs.
        commands: queues the jobs of a refresh, which waits for none.
        times: knows whose snapshots were published.
    """

    def __init__(self, jobs: RunJobs, commands: JobCommands, times: PublishedTimes) -> None:
        self._jobs = jobs
        self._commands = commands
        self._times = times
        self._collected: list[tuple[str, asyncio.Future[datetime]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, symbol: str) -> datetime:
        """Have a symbol's snapshot published, and return when it was.

        Raises:
            PhaseFailed: the vendor refuses, or has none.
        """
        ended: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()
        self._collected.append((symbol, ended))
        if len(self._collected) == 1:
            self._start(self._send_collected())
        return await ended

    async def refresh(self, symbols: Iterable[str]) -> SnapshotsRefreshed:
        """Queue a job for each batch of symbols whose earlier job has ended; wait for none of them.

        Raises:
            BrokerUnavailable: no acks in time; some jobs may be queued.
            NotReady: intake does not know yet which jobs or rules there are.
        """
        wanted, queued, under_way = sorted(set(symbols)), [], 0
        following: list[HistoryRequest] = []
        for number, batch in enumerate(_batches(wanted), start=1):
            request = self._request(batch, number)
            if self._jobs.unfinished(request):
                under_way += 1
                continue
            accepted = await self._commands.accept(request)
            queued.append(accepted.job.job_id)
            following.append(request)
        if following:
            self._start(self._note_when_ended(following))
        return SnapshotsRefreshed(symbols=len(wanted), queued=tuple(queued), under_way=under_way)

    async def stop(self) -> None:
        """Wait for no job any more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _note_when_ended(self, requests: Sequence[HistoryRequest]) -> None:
        await asyncio.gather(*(self._jobs.ended(request) for request in requests))
        try:
            await self._times.note(Phase.SNAPSHOT)
        except PASSING as error:  # the next refresh does it
            log.warning("snapshot_times_not_noted", error=str(error))

    async def _send_collected(self) -> None:
        await asyncio.sleep(_COLLECT_S)
        collected, self._collected = self._collected, []
        for start in range(0, len(collected), MAX_SYMBOLS):
            self._start(self._send(collected[start : start + MAX_SYMBOLS]))

    async def _send(self, wanted: Sequence[tuple[str, asyncio.Future[datetime]]]) -> None:
        published: dict[str, datetime] = {}
        failure: Exception | None = None
        try:
            published = await self._published(tuple(sorted({symbol for symbol, _ in wanted})))
        except Exception as error:  # noqa: BLE001 (the runs that wait have it)
            failure = error
        for symbol, ended in wanted:
            if ended.done():  # its run was ended
                continue
            if failure is not None:
                ended.set_exception(failure)
            elif (at := published.get(symbol)) is None:
                ended.set_exception(PhaseFailed(f"the vendor has no snapshot of {symbol}"))
            else:
                ended.set_result(at)

    async def _published(self, symbols: tuple[str, ...]) -> dict[str, datetime]:
        """Return when the snapshots of a batch were published, by symbol."""
        before = await repeated(self._times.last_sequence, "read the position in CHRONOX")
        number = random.choice(_OF_RUNS)  # noqa: S311 (no secret)
        end = await self._jobs.snapshots(self._request(symbols, number))
        if end.error is not None:
            raise PhaseFailed(end.error)
        last = await repeated(lambda: self._times.read(Phase.SNAPSHOT), "read which snapshots there are")
        found = {symbol: last.get(subjects.chronox(Phase.SNAPSHOT, symbol)) for symbol in symbols}
        return {symbol: stored.at for symbol, stored in found.items() if stored and stored.sequence > before}

    def _request(self, symbols: tuple[str, ...], number: int) -> HistoryRequest:
        ticker = f"{MANY_SYMBOLS}-{number}" if len(symbols) > 1 else None
        return self._jobs.request_of(Snapshots(symbols), ticker=ticker)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _batches(symbols: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(symbols[start : start + MAX_SYMBOLS]) for start in range(0, len(symbols), MAX_SYMBOLS))
