"""Live messages of FEED on their way into the lake, on a real nats-server."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.importer.feeds import retention
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import live_messages
from shared.bus.feeds.live_messages import LiveMessage
from tests.support.importer.feeding import a_snapshot, a_webhook, message_of
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data")


async def post(bus: Bus, *messages: LiveMessage) -> None:
    for message in messages:
        await bus.publish(message.subject, live_messages.encode(message), subjects.FEED, message.id)


async def stored(lake: LakeOnDisk, query: str, rows: int) -> None:
    async def look() -> bool:
        return lake.rows(f"SELECT count(*) FROM {query}") == [(rows,)]

    assert await eventually(look)


async def test_messages_become_rows_and_are_acknowledged(bus: Bus, lake: LakeOnDisk) -> None:
    await post(bus, message_of(a_snapshot()), message_of(a_webhook()))
    async with importing(bus, lake):
        await stored(lake, "gex_strikes", 2)
        await post(bus, message_of(a_snapshot(1)))
        await stored(lake, "gex_strikes", 4)
        assert lake.rows("SELECT count(*) FROM universal_webhooks") == [(1,)]

        async def acknowledged() -> bool:
            found = await bus.js.consumer_info(subjects.FEED, subjects.FEED_CONSUMER)
            return found.ack_floor is not None and found.ack_floor.stream_seq == 3

        assert await eventually(acknowledged)


async def test_a_message_that_cannot_be_stored_is_a_dead_letter_and_holds_up_nothing(
    bus: Bus, lake: LakeOnDisk
) -> None:
    await bus.publish("gex.feed.gex.SPX", b'{"type": "gex.feed.v1.snapshot"}', subjects.FEED, "broken")
    await post(bus, message_of(a_snapshot()))
    async with importing(bus, lake):
        await stored(lake, "gex_snapshots", 1)
    letter = await bus.js.get_last_msg(subjects.DEAD, "gex.dead.gex.feed.gex.SPX")
    assert letter.data == b'{"type": "gex.feed.v1.snapshot"}'
    assert letter.headers
    assert (letter.headers["Gex-Error"], letter.headers["Gex-Stream-Seq"]) == ("MalformedMessage", "1")


async def test_a_stream_that_was_deleted_is_read_from_its_start(bus: Bus, lake: LakeOnDisk) -> None:
    async with importing(bus, lake):
        await post(bus, message_of(a_snapshot()), message_of(a_snapshot(1)))
        await stored(lake, "gex_snapshots", 2)
        await bus.js.delete_stream(subjects.FEED)
        await bus.apply_streams()
        await post(bus, message_of(a_snapshot(2)))
        await stored(lake, "gex_snapshots", 3)
        assert lake.rows("SELECT sequence, sequence_base FROM feed_position") == [(1, 2)]


async def test_a_database_that_was_lost_is_filled_from_the_stream(
    bus: Bus, lake: LakeOnDisk, tmp_path: Path
) -> None:
    await post(bus, message_of(a_snapshot()), message_of(a_webhook()))
    async with importing(bus, lake):
        await stored(lake, "universal_webhooks", 1)
    other = LakeOnDisk(tmp_path / "other")
    async with importing(bus, other):
        await stored(other, "gex_snapshots", 1)
        await stored(other, "universal_webhooks", 1)


async def test_a_nearly_full_stream_is_emptied_of_what_is_stored(
    bus: Bus, lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_NEARLY_FULL", 1e-6)
    monkeypatch.setattr(retention, "_LEFT", 0.0)
    await post(bus, *(message_of(a_snapshot(second)) for second in range(30)))
    async with importing(bus, lake):

        async def purged() -> bool:
            state = (await bus.js.stream_info(subjects.FEED)).state
            return bool(state.messages == 0)

        assert await eventually(purged)
        await stored(lake, "gex_snapshots", 30)
        await post(bus, message_of(a_snapshot(30)))
        await stored(lake, "gex_snapshots", 31)


async def test_a_database_that_is_quarantined_is_filled_from_the_first_message(
    bus: Bus, lake: LakeOnDisk
) -> None:
    async with importing(bus, lake):
        await post(bus, message_of(a_snapshot()), message_of(a_webhook()))
        await stored(lake, "universal_webhooks", 1)
        lake.lake._damage = "a block is damaged"  # as a reader reports it
        await post(bus, message_of(a_snapshot(1)))
        await stored(lake, "gex_snapshots", 2)
        await stored(lake, "universal_webhooks", 1)
        assert lake.rows("SELECT sequence, sequence_base FROM feed_position") == [(3, 2)]
    assert list(lake.lake.paths.quarantine.iterdir())
