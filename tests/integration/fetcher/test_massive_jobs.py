"""Jobs of Massive: a fetcher on a real nats-server, beside a stand-in of the vendor."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from gexlake.api.jobs import Priority, Status
from services.fetcher.settings import FetcherSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import Event, FetchFile, FileStaged, Job, JobFailed, RowsPublished
from shared.job_states import JobStates
from shared.massive.bars import BarSource
from shared.massive.resources import FlatFile, MinuteBars, Snapshots
from shared.sources.record import origin_of
from shared.sources.record_store import SourceRecords
from simulator.massive.flat_files import ACCESS_KEY, SECRET_KEY
from simulator.massive.market import Market, Split
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive
from tests.support.fetcher.fetching import fetching
from tests.support.massive.jobs import command_for, published, stored
from tests.support.poll import eventually

FRIDAY, MONDAY = date(2026, 6, 5), date(2026, 6, 8)
NOW = datetime(2026, 6, 8, 18, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
MARKET = Market({"AAPL": 1.0, "BRK.B": 0.1}, splits=(Split("AAPL", MONDAY, 4),))
BARS = MinuteBars("AAPL", FRIDAY, MONDAY)
E = TypeVar("E", bound=Event)


@pytest.fixture
def massive() -> Iterator[FakeMassive]:
    with FakeMassive(MARKET, now=lambda: NOW_MS) as running:
        running.flat_files.published.add(FRIDAY)
        yield running


@pytest.fixture
def settings(nats_url: str, tmp_path: Path, massive: FakeMassive) -> FetcherSettings:
    return FetcherSettings(
        nats_url=nats_url,
        data_dir=tmp_path / "data",
        retry_delay_s=0.05,
        massive_api=massive.base,
        massive_files=massive.base,
        massive_api_key=SecretStr(massive.key),
        massive_s3_access_key=SecretStr(ACCESS_KEY),
        massive_s3_secret_key=SecretStr(SECRET_KEY),
        massive_calls_per_minute=6000,
    )


@pytest.fixture
async def bus(bus: Bus) -> Bus:
    bus.clock = lambda: NOW
    return bus


async def event_of(bus: Bus, kind: type[E], job: Job) -> E:
    return await eventually(
        lambda: bus.last_event(kind, job.job_id), what=f"{kind.__name__} of {job.base_url}"
    )


async def permanent_failure(bus: Bus, job: Job) -> JobFailed:
    async def look() -> JobFailed | None:
        failed = await bus.last_event(JobFailed, job.job_id)
        return failed if failed and failed.final else None

    return await eventually(look, what="the end of the job")


async def executed(bus: Bus, settings: FetcherSettings, command: FetchFile) -> RowsPublished:
    """Execute a command, and return the event that ends it."""
    async with fetching(bus, settings):
        await bus.publish_command(command)
        return await event_of(bus, RowsPublished, command.job)


async def test_days_that_are_over_are_official_and_complete_and_the_running_day_has_the_streams_rank(
    bus: Bus, settings: FetcherSettings
) -> None:
    command = command_for(settings.massive, BARS)
    event = await executed(bus, settings, command)
    friday = list(MARKET.bars("AAPL", FRIDAY))
    monday = [bar for bar in MARKET.bars("AAPL", MONDAY) if bar.timestamp <= NOW_MS - 60_000]
    found = await published(bus)
    assert found.bars == {
        ("AAPL", BarSource.REST, False): friday,
        ("AAPL", BarSource.STREAM, False): monday,
    }
    assert found.complete == {"AAPL": [(FRIDAY, date(2026, 6, 7))]}
    assert event.counts == {"bars": len(friday) + len(monday)}
    assert JobStates().apply(event, NOW).status is Status.COMPLETED


async def test_bars_come_in_pages_and_are_not_fetched_again_after_a_redelivery(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fetcher.massive.rest.PAGE_LIMIT", 500)
    command = command_for(settings.massive, MinuteBars("AAPL", FRIDAY, FRIDAY, adjusted=True))
    async with fetching(bus, settings):
        ack = await bus.publish_command(command)
        await event_of(bus, RowsPublished, command.job)
        again = await bus.js.get_msg(subjects.JOBS, seq=ack.seq)
        await bus.js.publish(again.subject or "", again.data or b"")
        await eventually(lambda: _all_acknowledged(bus))
    found = await published(bus)
    assert found.bars == {("AAPL", BarSource.REST, True): list(MARKET.bars("AAPL", FRIDAY, adjusted=True))}
    assert found.complete == {}, "adjusted bars say nothing of those as traded"
    assert len(massive.requests) == 2


async def _all_acknowledged(bus: Bus) -> bool:
    info = await bus.js.consumer_info(subjects.JOBS, "fetch_medium")
    return info.delivered.consumer_seq == 2 and not info.num_ack_pending


async def test_a_day_without_any_bar_is_complete_too(bus: Bus, settings: FetcherSettings) -> None:
    sunday = date(2026, 6, 7)
    event = await executed(bus, settings, command_for(settings.massive, MinuteBars("AAPL", sunday, sunday)))
    assert event.counts == {"bars": 0}
    assert (await published(bus)).complete == {"AAPL": [(sunday, sunday)]}


async def test_a_rejected_bar_is_a_dead_letter_and_its_day_is_not_complete(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    bad, good = (as_sent(day) for day in (FRIDAY, MONDAY))
    bad["h"] = 0.5
    massive.answer_next(Answer(200, {"status": "OK", "results": [bad, good]}))
    wanted = MinuteBars("AAPL", date(2026, 6, 4), date(2026, 6, 9))
    event = await executed(bus, settings, command_for(settings.massive, wanted))
    assert event.counts == {"bars": 1}
    assert (await published(bus)).complete == {
        "AAPL": [(date(2026, 6, 4), date(2026, 6, 4)), (date(2026, 6, 6), date(2026, 6, 7))]
    }
    letter = await bus.js.get_msg(subjects.DEAD, seq=1)
    assert letter.subject == "gex.dead.chronox.backfill.AAPL"
    assert (letter.headers or {})["Gex-Reason"] == (
        "1 bars of AAPL are not stored: open: 1.5 is not between the low 1.0 and the high 0.5"
    )
    assert json.loads(letter.data or b"")["bars"][0]["sent"].startswith(f"[{bad['t']},1.5,0.5,")


def as_sent(day: date) -> dict[str, Any]:
    first = MARKET.bars("AAPL", day)[0].timestamp
    return {"t": first, "o": 1.5, "h": 2.0, "l": 1.0, "c": 1.25, "v": 10}


async def test_of_several_snapshots_the_good_ones_are_published(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    (apple,) = (each for each in (massive.rest._snapshot("AAPL"),))
    wide = {**massive.rest._snapshot("BRK.B"), "lastQuote": {"p": 1.0, "s": 1, "P": 3.0, "S": 1, "t": 1}}
    massive.answer_next(Answer(200, {"status": "OK", "tickers": [apple, wide]}))
    wanted = Snapshots(("AAPL", "BRK.B", "GONE"))
    event = await executed(bus, settings, command_for(settings.massive, wanted, ticker="symbols-1"))
    assert event.counts == {"snapshots": 1}
    assert [found.symbol for found in (await published(bus)).snapshots] == ["AAPL"]


async def test_a_rejected_snapshot_is_fetched_again_and_fails_the_job_in_the_end(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    old = {
        **massive.rest._snapshot("AAPL"),
        "updated": int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1e9),
    }
    massive.answer_next(Answer(200, {"status": "OK", "ticker": old}), times=3)
    command = command_for(settings.massive, Snapshots(("AAPL",)))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert (failed.failures, len(massive.requests)) == (3, 3)
    assert failed.error.startswith(
        "the snapshot of AAPL is rejected: updated: 2026-06-01 00:00:00 UTC is over 5 days ago; failed"
    )
    assert (await published(bus)).snapshots == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            Answer(403, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}),
            "does not include minute bars of AAPL, 2026-06-05 to 2026-06-08 (http://127.0.0.1",
        ),
        (Answer(404, {"status": "NOT_FOUND"}), "does not know the symbol AAPL (HTTP 404)"),
    ],
)
async def test_what_the_vendor_refuses_for_good_ends_the_job_at_once(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive, answer: Answer, text: str
) -> None:
    massive.answer_next(answer)
    command = command_for(settings.massive, BARS)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert text in failed.error
    assert f"HTTP {answer.status}" in failed.error
    assert (failed.failures, failed.refused) == (1, True)
    assert (await bus.js.stream_info(subjects.DEAD)).state.messages == 1


async def test_calls_over_the_plans_are_deferred_and_the_health_of_the_api_is_recorded(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    massive.answer_next(Answer(429, b"", {"Retry-After": "0"}))
    massive.answer_next(Answer(503, b""))
    command = command_for(settings.massive, BARS)
    await executed(bus, settings, command)
    failed = await event_of(bus, JobFailed, command.job)
    assert (failed.failures, failed.waits, failed.final) == (1, 1, False)
    assert [request.status for request in massive.requests] == [429, 503, 200]
    record, _ = await SourceRecords(bus).read(origin_of(massive.base) or "")
    assert (record.requests, record.successes) == (2, 1)


async def test_a_job_without_a_free_slot_of_the_plan_is_deferred_without_a_request(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    first, second = (
        command_for(settings.massive, MinuteBars(symbol, FRIDAY, FRIDAY), priority=Priority.LOW)
        for symbol in ("AAPL", "BRK.B")
    )
    async with fetching(bus, settings.model_copy(update={"massive_calls_per_minute": 1})):
        await bus.publish_command(first)
        await event_of(bus, RowsPublished, first.job)
        await bus.publish_command(second)
        deferred = await event_of(bus, JobFailed, second.job)
    assert (deferred.failures, deferred.final, len(massive.requests)) == (0, False, 1)
    assert "the plan's calls a minute are used up" in deferred.error


async def test_a_superseded_job_asks_for_no_further_page(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def superseded(*_: object) -> bool:
        return True

    monkeypatch.setattr("services.fetcher.massive.rest.PAGE_LIMIT", 500)
    monkeypatch.setattr("services.fetcher.rows.is_superseded", superseded)
    command = command_for(settings.massive, BARS)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await eventually(lambda: len(massive.requests))
        await eventually(lambda: _is_settled(bus))
    assert len(massive.requests) == 1
    assert await bus.last_event(RowsPublished, command.job.job_id) is None


async def _is_settled(bus: Bus) -> bool:
    info = await bus.js.consumer_info(subjects.JOBS, "fetch_medium")
    return info.delivered.consumer_seq > 0 and not info.num_ack_pending


async def test_a_flat_file_is_staged_and_resumed_after_a_broken_connection(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    content = massive.flat_files.content(FRIDAY)
    massive.flat_files.cut_after_bytes = len(content) // 2
    command = command_for(settings.massive, FlatFile(FRIDAY), priority=Priority.HIGH)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        staged = await event_of(bus, FileStaged, command.job)
    assert staged.staged_path == "us_stocks_sip/ohlcv_1m/2026-06-05.csv.gz"
    path = settings.paths.staged_from_relative(staged.staged_path)
    assert path == settings.paths.staging_root / "massive" / staged.staged_path
    assert path.read_bytes() == content
    assert [request.status for request in massive.requests] == [200, 206]
    importing = [subject for subject, _ in await stored(bus, subjects.JOBS)][-1]
    assert importing == "gex.job.import.high.us_stocks_sip"


async def test_a_flat_file_without_a_needed_column_is_not_staged(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    massive.answer_next(
        Answer(200, gzip.compress(b"ticker,open,close\nAAPL,1,1\n"), {"Content-Type": "text/csv"})
    )
    command = command_for(settings.massive, FlatFile(FRIDAY))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert "is no flat file: its first line has no column high, low, window_start" in failed.error
    assert not [path for path in settings.paths.staging_root.rglob("*") if path.is_file()]


async def test_a_job_of_another_address_gets_no_key(
    bus: Bus, settings: FetcherSettings, massive: FakeMassive
) -> None:
    command = command_for(settings.massive, BARS)
    elsewhere = settings.model_copy(update={"massive_api": "https://api.polygon.io"})
    async with fetching(bus, elsewhere):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert "give intake and fetcher the same GEXLAKE_MASSIVE_API and GEXLAKE_MASSIVE_FILES" in failed.error
    assert massive.requests == []
