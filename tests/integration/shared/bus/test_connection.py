"""Publishing and reading on a real nats-server, and one that is gone."""

from __future__ import annotations

import asyncio
import time

import nats
import pytest
from nats.js.errors import NotFoundError

from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import REPLAY_HEADER, Bus, connected, translate_errors
from shared.bus.envelope import decode
from shared.bus.messages import FetchFile, JobRequested, JobStarted
from shared.errors import BrokerUnavailable, StreamFull
from shared.process.settings import Settings
from simulator.nats_server import NatsServer
from tests.support.poll import eventually
from tests.support.values import NOON, a_fetch, a_job

ANSWER_S = 5.0
"""How soon a client of ours must hear that the broker is gone."""


@pytest.fixture
async def small(bus: Bus) -> Bus:
    """A bus whose JOBS holds about four commands."""
    config = (await bus.js.stream_info(subjects.JOBS)).config
    await bus.js.update_stream(config.evolve(max_bytes=4096))
    return bus


async def test_a_command_is_stored_under_its_subject_with_its_message_id(bus: Bus) -> None:
    ack = await bus.publish_command(a_fetch(), replay_of="DEAD:3")
    stored = await bus.js.get_msg(subjects.JOBS, seq=ack.seq)
    payload = decode("x", stored.data or b"").open("x")
    assert isinstance(payload, FetchFile)
    assert payload == a_fetch()
    assert (stored.subject, ack.stream) == ("gex.job.fetch.medium.NQ_NDX", "JOBS")
    assert stored.headers is not None
    assert stored.headers[REPLAY_HEADER] == "DEAD:3"
    assert stored.headers["Nats-Msg-Id"] == f"{a_job().job_id}:1"


async def test_the_same_command_and_the_same_event_are_stored_once(bus: Bus) -> None:
    sent = [await bus.publish_command(a_fetch()) for _ in range(2)]
    published = [
        await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=1)) for _ in range(2)
    ]
    assert [bool(ack.duplicate) for ack in (*sent, *published)] == [False, True, False, True]
    assert {ack.seq for ack in sent} == {ack.seq for ack in published} == {1}


async def test_a_full_jobs_stream_refuses_and_says_so(small: Bus) -> None:
    commands = [a_fetch(a_job(base_url=f"https://hist.gex.bot/{number}.json")) for number in range(10)]
    answers = await asyncio.gather(
        *(small.publish_command(command) for command in commands), return_exceptions=True
    )
    refused = [str(answer) for answer in answers if isinstance(answer, StreamFull)]
    assert 0 < len(refused) < 10
    assert set(refused) == {str(StreamFull("JOBS"))}
    assert (await small.js.stream_info(subjects.JOBS)).state.messages == 10 - len(refused)


async def test_events_drop_their_oldest_when_full(bus: Bus) -> None:
    config = (await bus.js.stream_info(subjects.EVENTS)).config
    await bus.js.update_stream(config.evolve(max_bytes=4096))
    for start in range(1, 30):
        await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start))
    last = await bus.last_event(JobStarted, a_job().job_id)
    assert last is not None
    assert last.start == 29
    assert (await bus.js.stream_info(subjects.EVENTS)).state.messages < 29


async def test_the_last_fact_of_a_kind_is_found(bus: Bus) -> None:
    assert await bus.last_event(JobStarted, a_job().job_id) is None
    for start in (1, 2):
        await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start))
    await bus.publish_event(JobRequested(job=a_job(), command_seq=9, url_sha256="0" * 64))
    found = await bus.last_event(JobStarted, a_job().job_id)
    assert found == JobStarted(job=a_job(), stage=Stage.FETCH, start=2)
    assert await bus.last_event(JobStarted, a_job(ticker="SPX").job_id) is None


async def test_the_moment_of_a_message_comes_from_the_clock_that_the_bus_was_given(bus: Bus) -> None:
    bus.clock = lambda: NOON
    ack = await bus.publish_command(a_fetch())
    stored = await bus.js.get_msg(subjects.JOBS, seq=ack.seq)
    assert decode("x", stored.data or b"").occurred_at == NOON


async def test_a_killed_broker_is_published_within_five_seconds(bus: Bus, nats_server: NatsServer) -> None:
    nats_server.kill()
    for attempt in (
        bus.publish_command(a_fetch()),
        bus.last_event(JobStarted, a_job().job_id),
        bus.publish_command(a_fetch()),
    ):
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="the broker did not answer in time"):
            await attempt
        assert time.monotonic() - begun < ANSWER_S


async def test_a_hanging_broker_is_reported_within_five_seconds(bus: Bus, nats_server: NatsServer) -> None:
    with nats_server.frozen():
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await bus.publish_command(a_fetch())
        assert time.monotonic() - begun < ANSWER_S


async def test_a_send_that_was_not_acknowledged_may_be_repeated(bus: Bus, nats_server: NatsServer) -> None:
    with nats_server.frozen(), pytest.raises(BrokerUnavailable):
        await bus.publish_command(a_fetch())

    async def sent() -> bool:
        try:
            return bool(await bus.publish_command(a_fetch()))
        except BrokerUnavailable:
            return False

    await eventually(sent)
    assert (await bus.js.stream_info(subjects.JOBS)).state.messages == 1


async def test_what_was_acknowledged_is_there_after_a_kill(bus: Bus, nats_server: NatsServer) -> None:
    back = asyncio.Event()
    bus.on_reconnect(back.set)
    acks = [await bus.publish_command(a_fetch(a_job(generation=number))) for number in range(1, 20)]
    nats_server.kill()
    nats_server.start()
    await asyncio.wait_for(back.wait(), 15)
    for ack in acks:
        assert (await bus.js.get_msg(subjects.JOBS, seq=ack.seq)).data


async def test_a_callback_that_is_forgotten_is_not_called(bus: Bus, nats_server: NatsServer) -> None:
    called: list[str] = []
    forgotten = called.append
    bus.on_reconnect(lambda: called.append("kept"))
    callback = lambda: forgotten("forgotten")  # noqa: E731 (forgetting takes the very same callable)
    bus.on_reconnect(callback)
    bus.remove_reconnect_callback(callback)
    nats_server.kill()
    nats_server.start()
    await eventually(lambda: called)
    assert called == ["kept"]


async def test_connecting_waits_for_a_broker_that_is_not_there_yet(
    settings: Settings, nats_server: NatsServer
) -> None:
    nats_server.kill()

    async def connect() -> bool:
        async with connected(settings, "early") as bus:
            return bus.is_connected

    connecting = asyncio.create_task(connect())
    done, _ = await asyncio.wait({connecting}, timeout=0.3)
    assert not done
    nats_server.start()
    assert await asyncio.wait_for(connecting, 15)


async def test_a_bus_is_closed_quietly_when_its_broker_is_gone(
    settings: Settings, nats_server: NatsServer
) -> None:
    async with connected(settings, "other") as bus:
        nats_server.kill()
        with pytest.raises(BrokerUnavailable):
            await bus.publish_command(a_fetch())
    assert not bus.is_connected


async def test_a_closed_bus_reconnects_no_more_although_a_cancellation_was_lost(settings: Settings) -> None:
    bus = await Bus.connect(settings, "test")
    lost = 0

    async def reconnect() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost > 2:
                    raise

    bus.client._reconnection_task = reconnecting = asyncio.create_task(reconnect())
    await asyncio.sleep(0)
    await bus.close()
    assert reconnecting.cancelled()
    assert lost == 3


async def test_a_closed_bus_says_so_and_refuses(settings: Settings) -> None:
    async with connected(settings, "brief") as bus:
        pass
    await asyncio.wait_for(bus.closed.wait(), 5)
    with pytest.raises(BrokerUnavailable):
        await bus.publish_command(a_fetch())


@pytest.mark.parametrize(
    "error",
    [
        nats.errors.TimeoutError(),
        nats.errors.NoRespondersError(),
        nats.errors.ConnectionClosedError(),
        nats.errors.OutboundBufferLimitError(),
        nats.js.errors.NoStreamResponseError(),
        nats.js.errors.ServiceUnavailableError(code=503, description="no quorum"),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_the_client_becomes_one_of_ours(error: Exception) -> None:
    with pytest.raises(BrokerUnavailable, match="do it") as problem, translate_errors("do it"):
        raise error
    assert problem.value.__cause__ is error


def test_a_write_to_a_connection_that_uvloop_has_closed_is_translated() -> None:
    with pytest.raises(BrokerUnavailable), translate_errors("write"):
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def test_another_runtime_error_is_not_translated() -> None:
    with pytest.raises(RuntimeError, match="ours"), translate_errors("write"):
        raise RuntimeError("ours")


def test_what_is_not_found_is_published_as_such() -> None:
    with pytest.raises(NotFoundError), translate_errors("look"):
        raise NotFoundError(code=404)
