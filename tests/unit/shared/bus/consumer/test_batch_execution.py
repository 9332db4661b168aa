"""What becomes of a batch whose function fails: again, halves, or a dead letter of one message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import PubAck
from structlog.testing import capture_logs

from shared.bus.connection import Bus
from shared.bus.consumer import batch_execution
from shared.bus.consumer.batch import Batch, MessageFailed, StreamFound, StreamMessage
from shared.bus.consumer.batch_execution import BatchExecution, delay_after
from shared.errors import BrokerUnavailable, MalformedMessage, StoppedEarly, Transient

STREAM = StreamFound("FEED", datetime(2025, 11, 14, tzinfo=UTC), 100)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_execution, "_MIN_DELAY_S", 0.0)


def batch_of(*sequences: int) -> Batch:
    messages = tuple(
        StreamMessage(number, Msg(cast("Client", None), "gex.feed.x", _reply(number), b"%d" % number))
        for number in sequences
    )
    return Batch(STREAM, messages, sequences[-1])


def _reply(sequence: int) -> str:
    return f"$JS.ACK.FEED.importer.1.{sequence}.{sequence}.1763130600000000000.0"


@dataclass
class FakeBus:
    """Takes dead letters, after some failures."""

    failures: int = 0
    letters: list[tuple[bytes, str]] = field(default_factory=list)

    async def publish(
        self, subject: str, data: bytes, stream: str, msg_id: str, headers: dict[str, str]
    ) -> PubAck:
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("publish")
        assert (subject, stream, msg_id) == ("gex.dead.gex.feed.x", "DEAD", f"FEED:{data.decode()}")
        self.letters.append((data, headers["Gex-Error"]))
        return PubAck(stream, len(self.letters))


@dataclass
class Store:
    """Stores batches in order; some messages fail."""

    poison: set[int] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    """Raised first, one a call."""
    is_broken: bool = False
    stored: list[int] = field(default_factory=list)
    position: int = 0

    async def __call__(self, batch: Batch) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if self.is_broken or self.poison & {message.sequence for message in batch.messages}:
            raise ValueError("unexpected")
        assert batch.last_sequence >= self.position
        self.stored += [message.sequence for message in batch.messages]
        self.position = batch.last_sequence


def execution(bus: FakeBus, store: Any, stop: asyncio.Event | None = None) -> BatchExecution:
    return BatchExecution(cast("Bus", bus), store, stop or asyncio.Event())


async def test_a_transient_error_is_tried_again_with_the_same_batch() -> None:
    bus, store = FakeBus(), Store(errors=[Transient("full"), Transient("full")])
    await execution(bus, store).run(batch_of(1, 2))
    assert (store.stored, bus.letters) == ([1, 2], [])


async def test_a_message_that_the_function_names_becomes_a_dead_letter() -> None:
    batch, bus = batch_of(1, 2, 3), FakeBus(failures=2)
    error = MessageFailed(batch.messages[2], MalformedMessage("gex.feed.x", "it is empty"))
    store = Store(errors=[error])
    await execution(bus, store).run(batch)
    assert bus.letters == [(b"3", "MalformedMessage")]
    assert (store.stored, store.position) == ([1, 2], 3)


@given(st.integers(1, 40), st.sets(st.integers(1, 40)))
async def test_the_messages_that_fail_are_found_and_all_others_stored_in_order(
    size: int, poison: set[int]
) -> None:
    bus, store = FakeBus(), Store(poison)
    with capture_logs():  # tracebacks are slow to render
        await execution(bus, store).run(batch_of(*range(1, size + 1)))
    assert [int(data) for data, _ in bus.letters] == sorted(poison & set(range(1, size + 1)))
    assert store.stored == [number for number in range(1, size + 1) if number not in poison]
    assert store.position == size


async def test_a_fault_that_an_empty_batch_has_too_is_no_message_s() -> None:
    bus, stop, store = FakeBus(), asyncio.Event(), Store(is_broken=True)
    running = asyncio.create_task(execution(bus, store, stop).run(batch_of(1, 2)))
    for _ in range(10):
        await asyncio.sleep(0)
    store.is_broken = False
    await running
    assert (store.stored, bus.letters) == ([1, 2], [])


async def test_a_stop_ends_the_wait_for_another_attempt() -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(StoppedEarly):
        await execution(FakeBus(), Store(errors=[Transient("full")]), stop).run(batch_of(1))


@pytest.mark.usefixtures("_no_waits")
def test_the_delay_grows_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_execution, "_MIN_DELAY_S", 0.1)
    delays = [delay_after(failures) for failures in range(1, 12)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1], delay_after(1, 5.0), delay_after(1000, 500.0)) == (0.1, 30.0, 5.0, 30.0)
