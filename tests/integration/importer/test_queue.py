"""A long queue at the importer: each day once, the urgent first, and everything else goes on in the meantime.

How long the pauses are and how fast the answers come is measured by ``bench.queue``.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from datetime import date, timedelta
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from gexlake.api.jobs import Priority, Stage
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.consumer import scheduling
from shared.bus.envelope import decode
from shared.bus.messages import Event, FileStaged, ImportFile, JobStarted, PartitionImported, Payload
from shared.gexbot.trading_day import bounds_ms
from shared.process.settings import Settings
from simulator.generator import Day
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually
from tests.support.system.oracle import query_lake
from tests.support.values import a_job

TICKERS = ("NQ_NDX", "ES_SPX", "SPX", "QQQ", "SPY")
SNAPSHOTS, STRIKES = 4, 3
KEEPALIVE = b"+WPI"
"""What a worker publishes on a message's ack subject while it works on it."""


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data", retry_delay_s=0.05)


def a_queue(lake: LakeOnDisk, days: int) -> list[ImportFile]:
    """Stage days of five tickers, of one priority each, and return the commands in the order of the days."""
    priorities = dict(zip(TICKERS, (Priority.LOW, *Priority), strict=True))
    return [
        stage(
            lake, Day(ticker, "gex_zero", date(2025, 1, 1) + timedelta(number), SNAPSHOTS, STRIKES), priority
        )
        for number in range(days)
        for ticker, priority in priorities.items()
    ]


def stage(lake: LakeOnDisk, day: Day, priority: Priority = Priority.MEDIUM) -> ImportFile:
    base_url = f"https://hist.gex.bot/{day.file_name}"
    job = a_job(ticker=day.ticker, base_url=base_url, trading_day=day.day, priority=priority)
    return lake.stage(list(day.records()), job)


async def send(bus: Bus, command: ImportFile) -> None:
    sent = await bus.publish_command(command)
    staged = {"staged_path": command.staged_path, "size_bytes": command.size_bytes, "sha256": command.sha256}
    await bus.publish_event(FileStaged(job=command.job, command_seq=sent.seq, **staged))


async def events(bus: Bus) -> list[Payload]:
    """Return all events so far, the oldest first."""
    last = (await bus.js.stream_info(subjects.EVENTS)).state.last_seq
    messages = [await bus.js.get_msg(subjects.EVENTS, seq=sequence + 1) for sequence in range(last)]
    return [decode(at.subject or "", at.data or b"").open(at.subject or "") for at in messages]


async def count(bus: Bus, kind: type[Event]) -> int:
    subject = f"gex.event.job.{kind.EVENT_TYPE}.>"
    state = (await bus.js.stream_info(subjects.EVENTS, subjects_filter=subject)).state
    return sum((state.subjects or {}).values())


async def all_imported(bus: Bus, jobs: int) -> None:
    async def look() -> bool:
        return await count(bus, PartitionImported) == jobs

    await eventually(look, within_s=90, what=f"the import of {jobs} days")


def newest_of(command: ImportFile) -> str:
    """Return the query of the newest snapshot's strike rows."""
    job = command.job
    assert job.trading_day is not None
    start, end = bounds_ms(job.trading_day)
    key = (
        f"ticker = '{job.ticker}' AND endpoint = '{job.endpoint}' AND timestamp BETWEEN {start} AND {end} - 1"
    )
    return (
        f"SELECT timestamp, count(*) FROM gex_strikes WHERE {key} AND timestamp = "
        f"(SELECT max(timestamp) FROM gex_snapshots WHERE {key}) GROUP BY ALL"
    )


def newest_row(command: ImportFile) -> list[int]:
    assert command.job.trading_day is not None
    first_s = Day(day=command.job.trading_day).first_timestamp_s
    return [(first_s + SNAPSHOTS - 1) * 1000, STRIKES]


def in_order_of_work(commands: list[ImportFile]) -> list[ImportFile]:
    """Return queued commands in the order in which the worker takes them."""
    waiting = {priority: deque[ImportFile]() for priority in Priority}
    for command in commands:
        waiting[command.job.priority].append(command)
    ordered, passed_over = [], 0
    while heads := {priority: deadline_of(queue[0]) for priority, queue in waiting.items() if queue}:
        turn = scheduling.choose(heads, time.time(), free_slots=1, slots=1, passed_over=passed_over)
        assert turn is not None
        passed_over = turn.passed_over
        ordered.append(waiting[turn.priority].popleft())
    return ordered


def deadline_of(command: ImportFile) -> float:
    return scheduling.deadline_s(command.job.priority, command.job.requested_at.timestamp())


@pytest.mark.slow
async def test_a_queue_is_imported_once_each_by_priority_and_in_order(bus: Bus, lake: LakeOnDisk) -> None:
    commands = a_queue(lake, days=8)
    for command in commands:
        await send(bus, command)
    async with importing(bus, lake):
        await all_imported(bus, len(commands))
        published = await events(bus)
        started = [event for event in published if isinstance(event, JobStarted)]
        assert [event.job.job_id for event in started] == [
            command.job.job_id for command in in_order_of_work(commands)
        ]
        imported = [event.job.job_id for event in published if isinstance(event, PartitionImported)]
        assert imported == [event.job.job_id for event in started]

        async def noted() -> bool:
            rows = lake.rows("SELECT status, attempts, count(*) FROM gex_history_queue GROUP BY ALL")
            return rows == [("completed", 1, len(commands))]

        await eventually(noted)
        held = lake.rows("SELECT DISTINCT snapshots, strike_rows, published FROM partitions")
        assert held == [(SNAPSHOTS, SNAPSHOTS * STRIKES, True)]
        assert lake.rows("SELECT count(*) FROM gex_strikes") == [(len(commands) * SNAPSHOTS * STRIKES,)]
        assert lake.differences() == 0


@pytest.mark.slow
async def test_queries_see_whole_partitions_while_the_queue_goes_on(bus: Bus, lake: LakeOnDisk) -> None:
    commands = a_queue(lake, days=6)
    last = in_order_of_work(commands)[-1]
    for command in commands:
        await send(bus, command)
    seen: Counter[str] = Counter()
    async with importing(bus, lake):

        async def imported() -> bool:
            before = await count(bus, PartitionImported)
            with contextlib.suppress(Exception):  # not there yet
                rows = await query_lake(bus, newest_of(last))
                assert rows in ([], [newest_row(last)])
                seen["whole" if rows else "not yet"] += 1
            return before == len(commands)

        await eventually(imported, within_s=90)
    assert seen["not yet"] > 2
    assert seen["whole"]


async def test_an_import_longer_than_the_ack_wait_is_kept_and_holds_up_no_query(
    settings: Settings, lake: LakeOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    kept_alive: list[Msg] = []

    async def note(message: Msg) -> None:
        if message.data == KEEPALIVE:
            kept_alive.append(message)

    async with connected(settings.model_copy(update={"ack_wait_s": 0.6}), "test") as bus:
        await bus.client.subscribe(f"$JS.ACK.{subjects.JOBS}.>", cb=note)
        first, second = (
            stage(lake, Day("SPX", "gex_zero", date(2025, 1, day), SNAPSHOTS, STRIKES)) for day in (2, 3)
        )
        await send(bus, first)
        async with importing(bus, lake):
            await all_imported(bus, 1)
            monkeypatch.setenv("GEXLAKE_FAILPOINT", f"importer.loaded=hold:{held}")
            await send(bus, second)
            await eventually(held.exists, what="the import to be in the middle of its transaction")
            kept_alive.clear()
            await eventually(lambda: len(kept_alive) > 6, what="signs of work for twice the ack wait")
            assert await query_lake(bus, newest_of(first)) == [newest_row(first)]
            assert await query_lake(bus, newest_of(second)) == []
            held.unlink()
            await all_imported(bus, 2)
            assert await count(bus, JobStarted) == 2
            consumer = subjects.durable(Stage.IMPORT, Priority.MEDIUM)

            async def acknowledged() -> bool:
                info = await bus.js.consumer_info(subjects.JOBS, consumer)
                return (info.num_pending, info.num_ack_pending, info.num_redelivered) == (0, 0, 0)

            await eventually(acknowledged)
            assert await query_lake(bus, newest_of(second)) == [newest_row(second)]
