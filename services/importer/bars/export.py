"""Keep one Parquet file a trading day with the minute bars of all symbols, sorted by symbol and time.

A file is written under a hidden name, flushed, checked and renamed into place; then the database notes it.
After a crash between these steps it is written again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from datetime import date
from typing import Final

import duckdb
import structlog

from services.importer.bars import complete_days, days
from services.importer.bars.days import BarDay
from services.importer.errors import StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.parquet import hidden_parquet
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from shared.gexbot.trading_day import bounds_ms
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint

_OWNER: Final = "bars"
_MAX_SHARE: Final = 0.25
"""How much of the time exports may take."""
COLUMNS: Final = (
    "symbol, timestamp, open, high, low, close, volume, vwap, trades, source, adjusted, received_at"
)
log = structlog.get_logger(__name__)


def export_bars(lake: Lake) -> int:
    """Write the Parquet files of all trading days that lack rows, and return how many.

    Raises:
        StorageTrouble: the disk is full or fails; a file that is not noted is written again.
    """
    with lake.live_writing(()) as connection, transaction(connection):
        days.forget_exported(connection)
        changed = days.dirty(connection)
    return sum(export_day(lake, day) for day in changed)


class BarExporter:
    """Exports on a cadence.

    Args:
        lake: where.
        every_s: the cadence.
    """

    def __init__(self, lake: Lake, every_s: float) -> None:
        self._lake = lake
        self._every_s = every_s
        self._thread = WriterThread("bars-export")

    async def run(self) -> None:
        """Export until cancelled; an export that takes long is followed by a longer pause."""
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            await self.try_to_export()
            seconds = time.monotonic() - began
            pause_s = max(self._every_s - seconds, seconds * (1 / _MAX_SHARE - 1))

    async def try_to_export(self) -> None:
        """Export what has changed; a failure is logged, and the next export tries again."""
        began = time.monotonic()
        try:
            exported = await self._thread.run(lambda: export_bars(self._lake))
        except (StorageTrouble, duckdb.Error) as error:
            log.warning("bars_not_exported", error=str(error).partition("\n")[0])
            return
        if exported:
            log.info("bars_exported", days=exported, seconds=round(time.monotonic() - began, 3))


def export_day(lake: Lake, day: BarDay) -> bool:
    """Write the Parquet file of a trading day; return False if an import has replaced it in the meantime.

    Raises:
        StorageTrouble: the disk is full or fails.
    """
    final = lake.paths.bars(day.day)
    with ExitStack() as stack:
        with lake.reading() as connection:
            metadata = metadata_of_day(connection, day.day)
            written = hidden_parquet(connection, query_of_day(day.day), final, _OWNER, metadata)
            file = stack.enter_context(written)
        with lake.live_writing([days.lock_of(day.day)]) as connection, transaction(connection):
            if not days.mark_exported(connection, day):
                return False
            rename_durably(file.path, final)
            failpoint("importer.bars_placed")
    return True


def query_of_day(day: date) -> str:
    """Return the query of the rows of a day's Parquet file."""
    start, end = bounds_ms(day)
    return (
        f"SELECT {COLUMNS} FROM ohlcv_1m WHERE timestamp >= {start} AND timestamp < {end} "  # noqa: S608
        "ORDER BY symbol, timestamp, adjusted"
    )


def metadata_of_day(connection: duckdb.DuckDBPyConnection, day: date) -> dict[str, str]:
    """Return the metadata in the footer of a day's Parquet file."""
    return {"gexlake.trading_day": day.isoformat(), **complete_days.metadata(connection, day)}
