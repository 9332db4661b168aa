"""The records of sources on a real nats-server, written by several fetchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gexlake.api.sources import Circuit
from services.fetcher.errors import (
    CircuitOpenError,
    FileIncomplete,
    SourceBusy,
    SourceMissing,
    SourceUnavailable,
    StagingFull,
)
from services.fetcher.health import source_health_nats
from services.fetcher.health.circuit_breaker import BreakerRules
from services.fetcher.health.source_health_nats import SourceHealthStore
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.process.settings import Settings
from shared.sources.record import SourceRecord
from tests.support.poll import eventually
from tests.support.values import NOON

HOST = "https://hist.gex.bot"
URL = f"{HOST}/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=secret-signature"
RULES = BreakerRules(failures=3, pause_s=30, max_pause_s=300, probe_s=20)


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def go_on(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(bus: Bus, clock: Clock) -> SourceHealthStore:
    bus.clock = clock
    return SourceHealthStore(bus, RULES)


@pytest.fixture
async def other_bus(settings: Settings, clock: Clock) -> AsyncIterator[Bus]:
    async with connected(settings, "other") as bus:
        bus.clock = clock
        yield bus


async def ask(records: SourceHealthStore, error: Exception | None = None, url: str = URL) -> None:
    """Make a request that ends with ``error``."""
    async with records.track(url) as request:
        if error is not None:
            raise error
        await request.record_response()


async def break_off(records: SourceHealthStore) -> None:
    """Make a request that is answered, and then broken off."""
    async with records.track(URL) as request:
        await request.record_response()
        raise FileIncomplete(HOST, 5, 10)


async def fail(records: SourceHealthStore, times: int = 1, url: str = URL) -> None:
    for _ in range(times):
        with pytest.raises(SourceBusy):
            await ask(records, SourceBusy(HOST, 503), url)


async def fail_until_one_may_try(records: SourceHealthStore, clock: Clock) -> None:
    """Have the source left alone, and that time pass."""
    await fail(records, RULES.failures)
    clock.go_on(30)


async def record_of(bus: Bus, base_url: str = HOST) -> SourceRecord:
    message = await bus.js.get_last_msg(subjects.SOURCES, subjects.source(base_url))
    return SourceRecord.model_validate_json(message.data or b"")


async def test_requests_are_counted_by_how_they_ended(bus: Bus, records: SourceHealthStore) -> None:
    await ask(records)
    with pytest.raises(SourceMissing):
        await ask(records, SourceMissing(HOST, "it answered 404"))
    await fail(records)
    record = await record_of(bus)
    assert (record.requests, record.successes, record.failures_in_a_row) == (3, 2, 1)
    assert record.last_success_at == NOON
    assert record.mean_response_s is not None
    assert record.mean_response_s < 1


async def test_waiting_before_a_request_is_no_part_of_its_response_time(
    bus: Bus, records: SourceHealthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((100.0, 105.0, 105.25))
    monkeypatch.setattr(source_health_nats, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    async with records.track(URL) as request:
        request.restart_timer()
        await request.record_response()
    assert (await record_of(bus)).mean_response_s == 0.25


async def test_one_message_a_source_is_kept_and_none_holds_a_query(
    bus: Bus, records: SourceHealthStore
) -> None:
    for _ in range(3):
        await ask(records)
    await ask(records, url="https://hist.gexbot.com:8443/day.json?sig=secret-signature")
    await ask(records, url="file:///days/day.json")
    assert (await bus.js.stream_info(subjects.SOURCES)).state.messages == 2
    for base_url in (HOST, "https://hist.gexbot.com:8443"):
        assert "secret" not in (await record_of(bus, base_url)).model_dump_json()


async def test_no_request_is_lost_when_fetchers_count_at_the_same_time(
    bus: Bus, other_bus: Bus, records: SourceHealthStore
) -> None:
    both = (records, SourceHealthStore(other_bus, RULES))
    await asyncio.gather(*(ask(each) for each in both for _ in range(16)))
    assert (await record_of(bus)).requests == 32


async def test_an_open_circuit_holds_for_all_fetchers_and_after_a_restart(
    other_bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    await fail(records, RULES.failures)
    with pytest.raises(
        CircuitOpenError, match=r"3 times in a row and its circuit is open until 17:00:30 UTC"
    ) as raised:
        await ask(SourceHealthStore(other_bus, RULES))
    assert raised.value.retry_after_s == 30
    await ask(records, url="https://hist.gexbot.com/day.json")
    clock.go_on(30)
    await ask(SourceHealthStore(other_bus, RULES))


async def test_one_of_all_fetchers_tries_the_source_again(
    bus: Bus, other_bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    await fail_until_one_may_try(records, clock)
    both = (records, SourceHealthStore(other_bus, RULES))
    over = asyncio.Event()

    async def try_it(records: SourceHealthStore) -> str:
        try:
            async with records.track(URL):
                await over.wait()
        except CircuitOpenError:
            return "put off"
        return "tried"

    tasks = [asyncio.create_task(try_it(each)) for each in both for _ in range(4)]
    await eventually(lambda: sum(task.done() for task in tasks) == 7)
    over.set()
    assert sorted(await asyncio.gather(*tasks)) == ["put off"] * 7 + ["tried"]
    assert (await record_of(bus)).circuit(clock()) is Circuit.CLOSED


async def test_others_follow_as_soon_as_the_trying_request_is_answered(
    bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    await fail_until_one_may_try(records, clock)
    async with records.track(URL) as request:
        with pytest.raises(CircuitOpenError):
            await ask(records)
        await request.record_response()
        await ask(records)
    assert (await record_of(bus)).openings == 0


async def test_a_trying_request_that_fails_leaves_the_source_alone_for_longer(
    bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    await fail_until_one_may_try(records, clock)
    with pytest.raises(CircuitOpenError) as raised:
        await ask(records, SourceUnavailable(HOST, "could not be reached"))
    assert raised.value.retry_after_s == 60
    assert isinstance(raised.value.__context__, SourceUnavailable)
    record = await record_of(bus)
    assert record.open_until == clock() + timedelta(seconds=60)
    assert record.last_error == str(SourceUnavailable(HOST, "could not be reached"))


async def test_a_trying_request_that_is_answered_is_an_attempt(
    bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    """It may be this one file that the source cannot give, and its ``Retry-After`` is obeyed."""
    await fail_until_one_may_try(records, clock)
    with pytest.raises(SourceBusy) as raised:
        await ask(records, SourceBusy(HOST, 503, 300.0))
    assert raised.value.retry_after_s == 300.0
    assert (await record_of(bus)).open_until == clock() + timedelta(seconds=60)


async def test_a_trying_request_that_breaks_off_after_the_source_has_answered_is_an_attempt(
    bus: Bus, records: SourceHealthStore, clock: Clock
) -> None:
    await fail_until_one_may_try(records, clock)
    with pytest.raises(FileIncomplete):
        await break_off(records)
    assert (await record_of(bus)).open_until == clock() + timedelta(seconds=60)


async def test_trouble_of_our_own_lets_another_request_try_the_source(
    records: SourceHealthStore, clock: Clock, bus: Bus
) -> None:
    await fail_until_one_may_try(records, clock)
    for _ in range(2):
        with pytest.raises(StagingFull):
            async with records.track(URL):
                raise StagingFull(Path("day.json"), OSError(28, "No space left on device"))
    record = await record_of(bus)
    assert (record.requests, record.probe_until) == (RULES.failures, None)


async def test_a_trying_request_whose_fetcher_is_stopped_lets_another_one_try_at_once(
    records: SourceHealthStore, clock: Clock, bus: Bus
) -> None:
    await fail_until_one_may_try(records, clock)
    asked = asyncio.Event()

    async def try_it() -> None:
        async with records.track(URL):
            asked.set()
            await asyncio.Event().wait()

    trying = asyncio.create_task(try_it())
    await asked.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert (await record_of(bus)).requests == RULES.failures
    await ask(records)


async def test_an_unreadable_record_is_replaced_by_a_new_one(bus: Bus, records: SourceHealthStore) -> None:
    await bus.js.publish(subjects.source(HOST), b'{"requests": "many"}')
    await ask(records)
    assert (await record_of(bus)).requests == 1


async def test_an_operator_who_purges_the_records_has_every_source_asked_at_once(
    bus: Bus, records: SourceHealthStore
) -> None:
    await fail(records, RULES.failures)
    await bus.js.purge_stream(subjects.SOURCES)
    await ask(records)
    assert (await record_of(bus)).requests == 1


async def test_a_file_is_not_lost_over_a_record_that_cannot_be_written(
    bus: Bus, records: SourceHealthStore
) -> None:
    async with records.track(URL):
        await bus.js.delete_stream(subjects.SOURCES)
    await bus.apply_streams()
    assert (await bus.js.stream_info(subjects.SOURCES)).state.messages == 0


async def test_a_record_of_the_version_before_is_read_and_replaced(
    bus: Bus, records: SourceHealthStore
) -> None:
    """That version published records as plain messages of the stream."""
    before = SourceRecord(base_url=HOST, requests=7, successes=5)
    await bus.js.publish(subjects.source(HOST), before.model_dump_json().encode(), stream=subjects.SOURCES)
    await ask(records)
    after = await record_of(bus)
    assert (after.requests, after.successes) == (8, 6)
