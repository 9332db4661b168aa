"""The streams and durables on a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StorageType, StreamInfo

from gexlake.api.jobs import Priority, Stage
from shared.bus import streams, subjects
from tests.support.poll import eventually

DAY_S = 24 * 3600
LIMITS = {
    "JOBS": (14 * DAY_S, DAY_S, "new"),
    "EVENTS": (30 * DAY_S, DAY_S, "old"),
    "FEED": (2 * DAY_S, 600, "new"),
    "DEAD": (90 * DAY_S, DAY_S, "old"),
    "BODIES": (14 * DAY_S, DAY_S, "new"),
    "SOURCES": (90 * DAY_S, 120, "old"),
    "TURNS": (60, 60, "new"),
    "KV_RULES": (0, 120, "new"),
    "CHRONOX": (7 * DAY_S, 600, "new"),
    "KV_SYMBOLS": (0, 120, "new"),
}


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a server that holds nothing yet."""
    client = await nats.connect(nats_url)
    yield client
    await client.close()


async def apply(js: JetStreamContext) -> None:
    await streams.apply(js, replicas=1, ack_wait_s=30)


async def defined(client: Client) -> tuple[list[StreamInfo], list[ConsumerInfo]]:
    js = client.jetstream()
    found = await js.streams_info()
    consumers = [one for info in found for one in await js.consumers_info(str(info.config.name))]
    return found, consumers


async def test_exactly_the_streams_of_the_design_are_created(client: Client) -> None:
    await apply(client.jetstream())
    found, _ = await defined(client)
    limits = {
        info.config.name: (info.config.max_age, info.config.duplicate_window, info.config.discard)
        for info in found
    }
    assert limits == LIMITS
    for info in found:
        assert (info.config.storage, info.config.retention) == (StorageType.FILE, "limits")
        assert (info.config.max_bytes or 0) > 0
        assert info.config.num_replicas == 1


async def test_every_stage_and_priority_has_its_durable(client: Client) -> None:
    await apply(client.jetstream())
    _, consumers = await defined(client)
    wanted = {subjects.durable(stage, priority) for stage in Stage for priority in Priority}
    assert {consumer.name for consumer in consumers} == wanted
    for consumer in consumers:
        assert (consumer.config.ack_policy, consumer.config.ack_wait) == ("explicit", 30)
        assert consumer.config.max_deliver == -1
        assert (consumer.config.max_ack_pending or 0) > 0


async def test_applying_again_changes_nothing(client: Client) -> None:
    js = client.jetstream()
    await apply(js)
    changes: list[str] = []

    async def note(message: Msg) -> None:
        changes.append(message.subject)

    await client.subscribe("$JS.EVENT.ADVISORY.STREAM.UPDATED.>", cb=note)
    await client.subscribe("$JS.EVENT.ADVISORY.*.CREATED.>", cb=note)
    before = await defined(client)
    await apply(js)
    after = await defined(client)
    assert [info.created for info in after[0]] == [info.created for info in before[0]]
    assert [info.config for info in after[0]] == [info.config for info in before[0]]
    assert [info.created for info in after[1]] == [info.created for info in before[1]]
    await js.add_stream(name="LAST", subjects=["last"])
    await eventually(lambda: changes, what="the advisory of the stream that the test itself made")
    assert changes == ["$JS.EVENT.ADVISORY.STREAM.CREATED.LAST"]


async def test_a_changed_definition_is_applied_and_keeps_the_messages(client: Client) -> None:
    js = client.jetstream()
    await apply(js)
    await js.publish("gex.job.fetch.low.SPX", b"kept")
    old = (await js.stream_info(subjects.JOBS)).config
    await js.update_stream(old.evolve(max_age=60, max_bytes=1024, discard="old", duplicate_window=60))
    await js.add_consumer(
        subjects.JOBS, streams.job_consumer(Stage.FETCH, Priority.LOW, 1).evolve(max_ack_pending=1)
    )
    await apply(js)
    info = await js.stream_info(subjects.JOBS)
    consumer = await js.consumer_info(subjects.JOBS, "fetch_low")
    assert (info.config.max_age, info.config.max_bytes, info.config.discard) == (
        14 * DAY_S,
        old.max_bytes,
        "new",
    )
    assert info.state.messages == 1
    assert (consumer.config.ack_wait, consumer.config.max_ack_pending) == (30, streams.MAX_ACK_PENDING)


async def test_the_newest_events_of_each_subject_survive_an_upgrade(client: Client) -> None:
    js = client.jetstream()
    await apply(js)
    old = (await js.stream_info(subjects.EVENTS)).config
    await js.update_stream(old.evolve(max_msgs_per_subject=-1))
    for number in range(streams.EVENTS_KEPT_PER_SUBJECT + 5):
        await js.publish("gex.event.job.failed.one", str(number).encode())
    await js.publish("gex.event.job.failed.other", b"kept")
    await apply(js)
    assert (await js.stream_info(subjects.EVENTS)).state.messages == streams.EVENTS_KEPT_PER_SUBJECT + 1
    assert (await js.get_last_msg(subjects.EVENTS, "gex.event.job.failed.one")).data == b"24"


async def test_streams_of_a_version_without_probes_take_them_after_an_upgrade(client: Client) -> None:
    js = client.jetstream()
    old = next(stream for stream in streams.STREAMS if stream.name == subjects.JOBS)
    await js.add_stream(replace(old, takes_probes=False).config(1))
    await js.publish("gex.job.fetch.low.SPX", b"kept")
    await apply(js)
    await js.publish(subjects.probe(subjects.JOBS), b"", stream=subjects.JOBS, msg_ttl=1)

    async def only_the_probe_has_expired() -> bool:
        state = (await js.stream_info(subjects.JOBS)).state
        return (state.messages, state.last_seq) == (1, 2)

    await eventually(only_the_probe_has_expired)


async def test_services_that_start_at_the_same_time_apply_the_same_streams(client: Client) -> None:
    js = client.jetstream()
    await asyncio.gather(*(apply(js) for _ in range(4)))
    found, consumers = await defined(client)
    assert (len(found), len(consumers)) == (len(LIMITS), 8)


async def test_a_stream_that_is_not_defined_here_is_not_touched(client: Client) -> None:
    js = client.jetstream()
    await js.add_stream(name="OTHER", subjects=["other"])
    await apply(js)
    found, _ = await defined(client)
    assert {info.config.name for info in found} == {*LIMITS, "OTHER"}
