"""Keep the partitions of the database, the Parquet tree and the jobs the same, and rebuild what is missing.

What Parquet holds is loaded from it; what only the database holds is written to Parquet; what a completed job
has imported and neither holds is imported from its staged file; and if that is gone, intake is asked to fetch
it again. One partition at a time, between imports, which go first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import duckdb
import structlog

from gexlake.api.rpc import Refused
from services.importer.errors import DamagedPartition, LakeDamaged, StagedFileReplaced
from services.importer.imports.repair.comparison import compare, is_news, newest_imports
from services.importer.imports.repair.rebuild import import_again, load_partition, write_partition
from services.importer.imports.repair.rebuild_chains import load_chains
from services.importer.imports.repair.rebuild_hours import load_hours
from services.importer.imports.repair.refetch import fetch_again
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.partition_tables import read_rows
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.keeper import LedgerKeeper
from services.importer.ledger.salvage import salvage_ledger
from services.importer.limits import ImportLimits
from services.importer.mirrors.salvage import salvage_rule_changes
from shared.bus.connection import Bus
from shared.bus.messages import Job
from shared.errors import Terminal, Transient
from shared.gexbot.partition import Partition
from shared.job_states import JobState

_LOOK_S: Final = 1.0
_RETRY_S: Final = 10.0
_READ_S: Final = 0.1

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
        self._failed: set[Partition] = set()
        """Those to try again after all others."""
        self._unread: list[Partition] = []
        """Those whose rows have not been read since the database was opened."""
        self._lost: dict[Partition, str] = {}
        """Those that cannot be rebuilt, each with the reason, until a job imports them."""
        self._has_compared_jobs = False
        self._is_comparing = False
        self.on_reopened: Sequence[Callable[[], object]] = ()
        """Called when the database was opened: rows of other tables may be lost."""
        self._lock = asyncio.Lock()
        """Held while a partition is rebuilt or the comparison made, in the background or before an import."""

    @property
    def remaining(self) -> int:
        """How many partitions are not rebuilt yet, those that cannot be among them."""
        return len(self._waiting.keys() | self._lost.keys())

    @property
    def to_load(self) -> frozenset[Partition] | None:
        """The partitions that the database does not have all rows of; None while that is not known."""
        return None if self._is_comparing or self._lake.is_suspect else frozenset(self._to_load)

    @property
    def _waiting(self) -> dict[Partition, object]:
        return {**self._to_load, **self._to_write, **self._to_import}

    async def compare(self) -> None:
        """Compare the database with the Parquet tree, if that was not done since it was opened.

        Raises:
            StorageTrouble: one of them cannot be read.
        """
        async with self._lock:
            await self._compare()

    async def _compare(self) -> None:
        if not self._lake.is_suspect:
            return
        self._lake.is_suspect, self._is_comparing = False, True
        try:
            found = await self._writer.run(partial(compare, self._lake))
            await self._writer.run(partial(load_hours, self._lake, found.hours_to_load))
            await self._writer.run(partial(load_chains, self._lake, found.chains_to_load))
            await self._writer.run(partial(salvage_ledger, self._lake))
            await self._writer.run(partial(salvage_rule_changes, self._lake))
            await self._writer.run(self._lake.refresh_parquet_view)
        except BaseException:
            self._lake.is_suspect = True
            raise
        self._has_compared_jobs = False
        self._to_load = dict.fromkeys(found.to_load)
        self._is_comparing = False
        self._to_write = {row.partition: row for row in found.to_write}
        self._to_import.clear()
        self._lost.clear()
        self._unread = found.held
        self._keeper.write_again()
        for write_again in self.on_reopened:
            write_again()
        if found:
            log.warning(
                "partitions_differ",
                to_load_from_parquet=len(found.to_load),
                to_write_to_parquet=len(found.to_write),
                next="the importer rebuilds them; gexlake status shows how many are left",
            )

    async def run(self) -> None:
        """Rebuild what is missing, forever; what fails is tried again later."""
        while True:
            try:
                has_more = await self.step()
                if not has_more:
                    await self.read_rows()
            except LakeDamaged:
                continue  # reported there; the next step rebuilds the database
            except (Transient, duckdb.Error, OSError) as error:
                log.warning("repair_deferred", error=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
            else:
                await asyncio.sleep(0 if has_more else _LOOK_S)

    async def read_rows(self, for_s: float = _READ_S) -> bool:
        """Read rows of the next partitions for a moment; return whether others are left.

        Damage is found when a block is read, and rows of past days may not be read for years.

        Raises:
            LakeDamaged: a block is damaged.
        """
        ends_at = time.monotonic() + for_s
        while self._unread and time.monotonic() < ends_at:
            await asyncio.to_thread(self._read, self._unread.pop())
        return bool(self._unread)

    def _read(self, partition: Partition) -> None:
        with self._lake.reading() as connection:
            read_rows(connection, partition)

    async def step(self) -> bool:
        """Compare, if that is due, and rebuild one partition; return whether there was one.

        Raises:
            StorageTrouble: the disk is full or fails.
            ImportTimedOut: the partition took too long; the others come first.
        """
        async with self._lock:
            return await self._step()

    async def _step(self) -> bool:
        await self._compare()
        await self._compare_jobs()
        waiting = self._waiting
        if not waiting.keys() - self._failed:
            self._failed.clear()
        for missing in waiting:
            if missing not in self._failed:
                await self._rebuild(missing)
                return True
        await self._find_imported()
        return False

    async def before_import(self, job: Job) -> None:
        """Rebuild the partition that a job is about to replace, so that the two can be compared.

        Raises:
            StorageTrouble: the disk is full or fails.
            ImportTimedOut: it took too long.
        """
        async with self._lock:
            await self._compare()
            for missing in self._waiting:
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
            self._failed.add(missing)
            raise
        first = next(kind for kind in (self._to_load, self._to_write, self._to_import) if missing in kind)
        del first[missing]
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
            self._lost[missing] = str(error)
            self._has_compared_jobs = False

    async def _compare_jobs(self) -> None:
        """Find the partitions that completed jobs have imported, and that are in neither place."""
        if self._has_compared_jobs or self._to_load or not self._keeper.has_caught_up.is_set():
            return
        newest = newest_imports(self._keeper.states)  # before what is held: an import adds to both
        held = await asyncio.to_thread(self._held)
        self._to_import = {key: state for key, state in newest.items() if is_news(state, held.get(key))}
        self._has_compared_jobs = True
        for missing in self._lost.keys() & self._to_import.keys():
            del self._lost[missing]
        for missing, why in self._lost.items():
            _report_lost(missing, why)
        if self._to_import:
            log.warning(
                "partitions_missing", partitions=len(self._to_import), next="their jobs are done again"
            )

    def _held(self) -> dict[Partition, PartitionRow]:
        with self._lake.reading() as connection:
            return {row.partition: row for row in partitions.every(connection)}

    async def _find_imported(self) -> None:
        """Forget the lost partitions that a job has imported since."""
        if self._lost:
            held = await asyncio.to_thread(self._held)
            self._lost = {missing: why for missing, why in self._lost.items() if missing not in held}

    async def _import(self, missing: Partition, state: JobState) -> None:
        if not is_news(state, (await asyncio.to_thread(self._held)).get(missing)):
            return  # another job was faster
        work = partial(import_again, self._lake, state, clock=self._bus.clock, limits=self._limits)
        try:
            await self._writer.run_within(work, self._timeout_s)
            log.info("partition_imported_again", partition=str(missing), job_id=str(state.job.job_id))
        except (Terminal, StagedFileReplaced, ValueError) as error:
            log.warning("staged_file_unusable", partition=str(missing), error=str(error))
            await self._fetch(missing, state)

    async def _fetch(self, missing: Partition, state: JobState) -> None:
        try:
            await fetch_again(self._bus, state.job.job_id)
            log.warning("partition_fetched_again", partition=str(missing), job_id=str(state.job.job_id))
        except Refused as error:
            self._lost[missing] = f"its staged file is gone, and intake cannot replay its job: {error}"
            _report_lost(missing, self._lost[missing])


def _report_lost(missing: Partition, why: str) -> None:
    log.error("partition_lost", partition=str(missing), error=why, next="post the URL of its file again")
