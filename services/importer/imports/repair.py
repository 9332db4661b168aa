"""Keep the partitions of the database, the Parquet tree and the jobs the same, and rebuild what is missing.

What Parquet holds is loaded from it; what only the database holds is written to Parquet; what a completed job
has imported and neither holds is imported from its staged file; and if that is gone, intake is asked to fetch
it again. One partition at a time, between imports, which go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final, TypeVar

import duckdb
import structlog

from gexlake.api import services
from gexlake.api.jobs import Stage, Status
from gexlake.api.rpc import CallFailed, call
from gexlake.api.services import ReplayRequest
from services.importer.errors import DamagedPartition, StagedFileReplaced
from services.importer.imports.comparison import compare
from services.importer.imports.rebuild import import_again, load_partition, write_partition
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.keeper import LedgerKeeper
from services.importer.settings import ImportLimits
from shared.bus.connection import Bus, translate_errors
from shared.bus.messages import Job
from shared.errors import BrokerUnavailable, Terminal, Transient
from shared.gexbot.partition import Partition
from shared.job_states import JobState

_LOOK_S: Final = 1.0
_RETRY_S: Final = 10.0
_REPLAY_TIMEOUT_S: Final = 10.0
_WHY_FETCHED: Final = "the partition is missing in the database and in Parquet, and its staged file is gone"

V = TypeVar("V")

log = structlog.get_logger(__name__)


class Repair:
    """Compares at the start, and when the database was opened again after damage."""

    def __init__(
        self,
        bus: Bus,
        lake: Lake,
        writer: WriterThread,
        keeper: LedgerKeeper,
        *,
        limits: ImportLimits,
        timeout_s: float,
    ) -> None:
        self._bus = bus
        self._lake = lake
        self._writer = writer
        self._keeper = keeper
        self._limits = limits
        self._timeout_s = timeout_s
        self._to_load: dict[Partition, None] = {}
        self._to_write: dict[Partition, PartitionRow] = {}
        self._to_import: dict[Partition, JobState] = {}
        self._has_compared_jobs = False

    @property
    def remaining(self) -> int:
        """How many partitions are not rebuilt yet."""
        return len(self._to_load.keys() | self._to_write.keys() | self._to_import.keys())

    async def compare(self) -> None:
        """Compare the database with the Parquet tree, if that was not done since it was opened.

        Raises:
            StorageTrouble: one of them cannot be read.
        """
        if not self._lake.is_suspect:
            return
        self._lake.is_suspect = False
        try:
            found = await self._writer.run(partial(compare, self._lake))
            await self._writer.run(self._lake.refresh_parquet_view)
        except BaseException:
            self._lake.is_suspect = True
            raise
        self._has_compared_jobs = False
        self._to_load = dict.fromkeys(found.to_load)
        self._to_write = {row.partition: row for row in found.to_write}
        self._to_import.clear()
        self._keeper.write_again()
        if found:
            log.warning(
                "partitions_differ",
                to_load_from_parquet=len(found.to_load),
                to_write_to_parquet=len(found.to_write),
                next="the importer rebuilds them; gexlake status shows how many are left",
            )

    async def run(self) -> None:
        """Rebuild what is missing, forever; what fails for now is tried again later."""
        while True:
            try:
                has_more = await self.step()
            except (Transient, duckdb.Error, OSError) as error:
                log.warning("repair_deferred", error=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
            else:
                await asyncio.sleep(0 if has_more else _LOOK_S)

    async def step(self) -> bool:
        """Compare, if that is due, and rebuild one partition; return whether there was one.

        Raises:
            StorageTrouble: the disk is full or fails.
            ImportTimedOut: the partition took too long; the others come first.
        """
        await self.compare()
        await self._compare_jobs()
        for waiting in (self._to_load, self._to_write, self._to_import):
            for missing in waiting:
                await self._rebuild(missing)
                return True
        return False

    async def before_import(self, job: Job) -> None:
        """Rebuild the partition that a job is about to replace, so that the two can be compared.

        Raises:
            StorageTrouble: the disk is full or fails.
            ImportTimedOut: it took too long.
        """
        await self.compare()
        for missing in [*self._to_load, *self._to_write, *self._to_import]:
            is_same = (missing.ticker, missing.endpoint) == (job.ticker, job.endpoint)
            if is_same and job.trading_day in {None, missing.trading_day}:
                await self._rebuild(missing)

    async def _rebuild(self, missing: Partition) -> None:
        try:
            if missing in self._to_load:
                await self._load(missing)
            elif (row := self._to_write.get(missing)) is not None:
                await self._writer.run(partial(write_partition, self._lake, row, clock=self._bus.clock))
                log.info("partition_written_to_parquet", partition=str(missing))
            elif (state := self._to_import.get(missing)) is not None:
                await self._import(missing, state)
        except BaseException:
            self._to_load = _last(self._to_load, missing)
            self._to_write = _last(self._to_write, missing)
            self._to_import = _last(self._to_import, missing)
            raise
        for waiting in (self._to_load, self._to_write, self._to_import):
            waiting.pop(missing, None)
        if not self.remaining:
            log.info("partitions_rebuilt")

    async def _load(self, missing: Partition) -> None:
        work = partial(load_partition, self._lake, missing)
        try:
            row = await self._writer.run_within(work, self._timeout_s)
            log.info("partition_loaded_from_parquet", partition=str(missing), snapshots=row.snapshots)
        except DamagedPartition as error:
            # It is no longer among those that Parquet has: the job that imported it is looked for.
            log.warning("partition_not_loaded", error=str(error), next="its job is done again")
            self._has_compared_jobs = False

    async def _compare_jobs(self) -> None:
        """Find the partitions that completed jobs have imported, and that are in neither place."""
        if self._has_compared_jobs or self._to_load or not self._keeper.has_caught_up.is_set():
            return
        newest = _newest(self._keeper.states)  # before what is held: an import adds to both
        held = await asyncio.to_thread(self._held)
        self._to_import = {key: state for key, state in newest.items() if _is_news(state, held.get(key))}
        self._has_compared_jobs = True
        if self._to_import:
            log.warning(
                "partitions_missing", partitions=len(self._to_import), next="their jobs are done again"
            )

    def _held(self) -> dict[Partition, PartitionRow]:
        with self._lake.reading() as connection:
            return {row.partition: row for row in partitions.every(connection)}

    async def _import(self, missing: Partition, state: JobState) -> None:
        if not _is_news(state, (await asyncio.to_thread(self._held)).get(missing)):
            return  # another job was faster
        work = partial(import_again, self._lake, state, clock=self._bus.clock, limits=self._limits)
        try:
            await self._writer.run_within(work, self._timeout_s)
            log.info("partition_imported_again", partition=str(missing), job_id=str(state.job.job_id))
        except (Terminal, StagedFileReplaced, ValueError) as error:
            log.warning("staged_file_unusable", partition=str(missing), error=str(error))
            await self._fetch(missing, state)

    async def _fetch(self, missing: Partition, state: JobState) -> None:
        request = ReplayRequest(job_id=state.job.job_id, stage=Stage.FETCH, force=True, reason=_WHY_FETCHED)
        try:
            with translate_errors("request a replay from intake"):
                await call(self._bus.client, services.REPLAY, request, _REPLAY_TIMEOUT_S)
            log.warning("partition_fetched_again", partition=str(missing), job_id=str(state.job.job_id))
        except (CallFailed, BrokerUnavailable) as error:
            log.error(  # noqa: TRY400 (the cause is in the line)
                "partition_lost",
                partition=str(missing),
                job_id=str(state.job.job_id),
                error=str(error),
                next="post the URL of the file again",
            )


def _newest(states: Iterable[JobState]) -> dict[Partition, JobState]:
    """Return the job that each partition was imported by last."""
    newest: dict[Partition, JobState] = {}
    for state in states:
        if state.status is not Status.COMPLETED or state.trading_day is None:
            continue
        key = Partition(state.job.ticker, state.job.endpoint, state.trading_day)
        if key not in newest or newest[key].updated_at < state.updated_at:
            newest[key] = state
    return newest


def _is_news(state: JobState, row: PartitionRow | None) -> bool:
    """Return whether a job has imported content that its partition does not hold, and no later one."""
    return row is None or (state.sha256 != row.checksum and state.updated_at > row.updated_at)


def _last(waiting: dict[Partition, V], missing: Partition) -> dict[Partition, V]:
    return waiting if missing not in waiting else {**waiting, missing: waiting.pop(missing)}
