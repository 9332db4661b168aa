"""Export live rows to Parquet: every so often, all partitions, hours and chains that have changed.

One snapshot of the database is read. Each file is written under a hidden name, flushed, checked and renamed
into place, as those of imports are; then the database notes it; then queries read these files in place of the
small ones with live rows. After a crash between these steps, what is not noted is exported again at the next
start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import duckdb
import structlog

from services.importer.errors import StorageTrouble
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import units as live_units
from services.importer.lake.live.partition_files import place_chains, place_hour, place_partition
from services.importer.lake.live.stored_batch import ChainFile, LiveHour
from services.importer.lake.live.units import Check, LiveRows
from services.importer.lake.parquet import ParquetFile
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from shared.gexbot.partition import Partition
from shared.process.failpoints import failpoint

_MAX_SHARE: Final = 0.25
"""How much of the time exports may take: imports wait for them."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Export:
    """What one export did.

    Args:
        files: how many partitions, hours and files of chains were written.
        skipped: how many have to wait for an import or a repair of their partition.
        seconds: how long it took.
    """

    files: int
    skipped: int
    seconds: float


def export_live(
    lake: Lake,
    *,
    waiting: Collection[Partition] = (),
    check: Check | None = None,
) -> Export:
    """Write the Parquet files of all partitions, hours and chains with live rows that they lack.

    Args:
        lake: where.
        waiting: partitions that the database does not have all rows of yet; their files stay as they are.
        check: called for each that has live rows, when the files are in place, with a
            connection that sees the rows that they should have.

    Raises:
        StorageTrouble: the disk is full or fails; files that are not noted are written again.
    """
    began = time.monotonic()
    with lake.live_files.exporting():
        with lake.writing() as connection:
            with _one_snapshot(connection):
                number = live_units.stored_number(connection)
                changed = live_units.dirty(connection)
                ready = [rows for rows in changed if _is_ready(connection, rows, waiting)]
                with connection.cursor() as beside:
                    live_units.note_beginning(beside, lake.paths, [rows.unit for rows in ready])
                files = {rows: _place(connection, lake, rows) for rows in ready}
                if check is not None:
                    skipped = {rows.unit for rows in changed if rows not in files}
                    for rows in live_units.every(connection):
                        check(connection, rows, rows.unit not in skipped)
            failpoint("importer.live_placed")
            _note(connection, lake, files)
            failpoint("importer.live_noted")
        lake.refresh_parquet_view()
        if len(ready) == len(changed):
            lake.live_files.exported(number)
    return Export(len(ready), len(changed) - len(ready), time.monotonic() - began)


class Exporter:
    """Exports on a cadence, and when it is asked to.

    Args:
        lake: where.
        writer: the thread of everything that replaces files.
        every_s: the cadence.
        waiting: returns the partitions that the database does not have all rows of yet; None if that is not
            known.
    """

    def __init__(
        self,
        lake: Lake,
        writer: WriterThread,
        *,
        every_s: float,
        waiting: Callable[[], Collection[Partition] | None],
    ) -> None:
        self._lake = lake
        self._writer = writer
        self._every_s = every_s
        self._waiting = waiting

    async def run(self) -> None:
        """Export until cancelled; an export that takes long is followed by a longer pause."""
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            seconds = await self.try_to_export()
            pause_s = max(self._every_s - seconds, seconds * (1 / _MAX_SHARE - 1))

    async def try_to_export(self) -> float:
        """Export what has changed, and return how long it took; a failure is logged."""
        began = time.monotonic()
        if not await asyncio.to_thread(self._has_work):
            return 0.0
        try:
            return (await self.export()).seconds
        except (StorageTrouble, duckdb.Error) as error:
            log.warning("live_rows_not_exported", error=str(error).partition("\n")[0])
            return time.monotonic() - began

    async def export(self, check: Check | None = None) -> Export:
        """Export what has changed.

        Raises:
            StorageTrouble: the disk is full or fails.
        """
        done = await self._writer.run(partial(self._export, check))
        if done.files or done.skipped:
            log.info(
                "live_rows_exported", files=done.files, skipped=done.skipped, seconds=round(done.seconds, 3)
            )
        return done

    async def after_import(self, partition: Partition) -> None:
        """Let queries read what an import has put in place of a partition's live rows."""
        if self._lake.live_files.is_live(partition):
            await self.try_to_export()

    def _export(self, check: Check | None) -> Export:
        waiting = self._waiting()
        if waiting is None:  # the files may have rows that the database lacks
            raise StorageTrouble("exporting live rows", RuntimeError("the lake is being compared"))
        return export_live(self._lake, waiting=waiting, check=check)

    def _has_work(self) -> bool:
        if self._lake.live_files.has_rows:
            return True
        try:
            with self._lake.reading() as connection:
                return bool(live_units.dirty(connection))
        except (StorageTrouble, duckdb.Error):
            return False


@contextmanager
def _one_snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    finally:
        connection.rollback()


def _is_ready(connection: duckdb.DuckDBPyConnection, rows: LiveRows, waiting: Collection[Partition]) -> bool:
    if not isinstance(rows.unit, Partition):
        return True
    row = partitions.read(connection, rows.unit)
    return rows.unit not in waiting and (row is None or row.published)


def _place(connection: duckdb.DuckDBPyConnection, lake: Lake, rows: LiveRows) -> ParquetFile:
    if isinstance(rows.unit, LiveHour):
        lake.live_files.add_file(rows.unit)
        return place_hour(connection, lake.paths, rows.unit)
    if isinstance(rows.unit, ChainFile):
        lake.live_files.add_file(rows.unit)
        return place_chains(connection, lake.paths, rows.unit, rows.last)
    return place_partition(connection, lake.paths, rows.unit)


def _note(connection: duckdb.DuckDBPyConnection, lake: Lake, files: Mapping[LiveRows, ParquetFile]) -> None:
    with lake.without_live_writes(), transaction(connection):
        for rows, file in files.items():
            live_units.mark_exported(connection, rows)
            live_units.note_file(connection, lake.paths, rows.unit)
            if isinstance(rows.unit, Partition):
                partitions.set_file(connection, rows.unit, file.size_bytes, file.sha256)
