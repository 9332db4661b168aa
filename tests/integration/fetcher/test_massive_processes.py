"""Fetchers as processes: killed at every durable step of jobs of Massive, and no key is let out."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, FileStaged, JobFailed, RowsPublished
from shared.gexbot.trading_day import trading_day_of
from shared.massive.bars import BarSource
from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars, Snapshots
from shared.paths import LakePaths
from shared.process.settings import Settings
from simulator.massive.flat_files import ACCESS_KEY, SECRET_KEY
from simulator.massive.market import Market
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive
from tests.support.fetcher.processes import Fetchers
from tests.support.massive.jobs import command_for, published, stored
from tests.support.poll import eventually
from tests.support.repository import ROOT

FRIDAY = date(2026, 6, 5)
MARKET = Market({f"SYM{letter}": 0.5 for letter in "ABCDEFGH"})
FAILPOINTS = (
    "fetcher.started",
    "fetcher.page_published",
    "fetcher.rows_published",
    "fetcher.event_published",
)
KEYS = ("stand-in-massive-key", ACCESS_KEY, SECRET_KEY)


@pytest.fixture
def massive() -> Iterator[FakeMassive]:
    with FakeMassive(MARKET, key=KEYS[0]) as running:
        running.flat_files.published.add(FRIDAY)
        yield running


@pytest.fixture
def urls(massive: FakeMassive) -> MassiveUrls:
    return MassiveUrls(massive.base, massive.base)


@pytest.fixture
def fetchers(nats_url: str, massive: FakeMassive, tmp_path: Path) -> Iterator[Fetchers]:
    environment = {
        **os.environ,
        "GEXLAKE_NATS_URL": nats_url,
        "GEXLAKE_DATA_DIR": str(tmp_path / "data"),
        "GEXLAKE_MASSIVE_API": massive.base,
        "GEXLAKE_MASSIVE_FILES": massive.base,
        "POLYGON_API_KEY": KEYS[0],
        "MASSIVE_S3_ACCESS_KEY": KEYS[1],
        "MASSIVE_S3_SECRET_KEY": KEYS[2],
        "POLYGON_CALLS_PER_MINUTE": "6000",
        "GEXLAKE_RETRY_DELAY_S": "0.05",
        "GEXLAKE_LOG_LEVEL": "DEBUG",
        "PYTHONPATH": str(ROOT),
    }
    fetchers = Fetchers(environment, tmp_path / "fetchers.log")
    yield fetchers
    fetchers.kill()


@pytest.fixture
def paths(settings: Settings) -> LakePaths:
    return settings.paths


async def rows_published(bus: Bus, command: FetchFile) -> RowsPublished:
    return await eventually(lambda: bus.last_event(RowsPublished, command.job.job_id))


async def test_every_kind_of_job_is_executed_and_no_key_is_let_out(
    bus: Bus, fetchers: Fetchers, massive: FakeMassive, urls: MassiveUrls, paths: LakePaths
) -> None:
    """Keys are not even in errors of the vendor that repeat them."""
    today = trading_day_of(massive.rest.now())
    bars, snapshot, file, refused = (
        command_for(urls, resource)
        for resource in (
            MinuteBars("SYMA", FRIDAY, FRIDAY),
            Snapshots(("SYMA", "SYMB")),
            FlatFile(FRIDAY),
            MinuteBars("SYMB", today - timedelta(days=1), today),
        )
    )
    massive.answer_next(Answer(403, {"status": "NOT_AUTHORIZED", "message": f"{' '.join(KEYS)} may not"}))
    fetchers.start()
    await bus.publish_command(refused)
    failed = await eventually(lambda: bus.last_event(JobFailed, refused.job.job_id))
    assert (failed.final, failed.refused) == (True, True)
    for command in (bars, snapshot, file):
        await bus.publish_command(command)
    assert (await rows_published(bus, bars)).counts == {"bars": len(MARKET.bars("SYMA", FRIDAY))}
    assert (await rows_published(bus, snapshot)).counts == {"snapshots": 2}
    staged = await eventually(lambda: bus.last_event(FileStaged, file.job.job_id))
    content = paths.staged_from_relative(staged.staged_path).read_bytes()
    assert content == massive.flat_files.content(FRIDAY)
    assert fetchers.stop() == [0]
    streams = (subjects.JOBS, subjects.EVENTS, subjects.DEAD, subjects.CHRONOX, subjects.SOURCES)
    said = [fetchers.output()] + [str(message) for name in streams for message in await stored(bus, name)]
    assert "rows_published" in said[0]
    assert not [text for text in said if any(key in text for key in KEYS)]


@pytest.mark.slow
async def test_a_fetcher_killed_at_every_step_loses_no_row_and_completes_every_job(
    bus: Bus, fetchers: Fetchers, urls: MassiveUrls
) -> None:
    symbols = iter(MARKET.symbols)
    commands = [command_for(urls, MinuteBars(next(symbols), FRIDAY, FRIDAY)) for _ in FAILPOINTS]
    snapshot = command_for(urls, Snapshots(("SYMA", "SYMB")))
    for command, failpoint in zip(
        (*commands, snapshot), (*FAILPOINTS, "fetcher.rows_published"), strict=True
    ):
        await bus.publish_command(command)
        assert await asyncio.to_thread(fetchers.start(failpoint).wait, 20) == -signal.SIGKILL
    fetchers.start()
    counts = [(await rows_published(bus, command)).counts for command in commands]
    found = await published(bus)
    for command, counted in zip(commands, counts, strict=True):
        symbol, bars = command.job.ticker, list(MARKET.bars(command.job.ticker, FRIDAY))
        assert counted == {"bars": len(bars)}
        stored_bars = found.bars[symbol, BarSource.REST, False]
        assert stored_bars == bars * max(1, len(stored_bars) // len(bars)), (
            "again by each attempt, as a whole"
        )
        assert set(found.complete[symbol]) == {(FRIDAY, FRIDAY)}
    assert (await rows_published(bus, snapshot)).counts == {"snapshots": 2}
    assert (await stored(bus, subjects.DEAD)) == []
    assert fetchers.stop() == [0]
