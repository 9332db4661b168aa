"""How the response to a reader ends: it hangs up, is too slow, reads nothing, or intake stops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message

from services.intake.live import reader_connection
from services.intake.live.events import EventFilter, LiveEvent
from services.intake.live.feed_hub import FeedHub, Gap
from services.intake.live.latest import LatestSnapshots
from services.intake.live.reader_connection import ABORT
from services.intake.live.readers import Readers
from services.intake.live.stream_response import SnapshotStream
from services.intake.state.broker_link import BrokerLink
from tests.support.intake.live import a_message
from tests.support.poll import eventually

ROOM = 4
EVENT_BYTES = LiveEvent(1, a_message(1)).size_bytes


@dataclass
class Client:
    """A connection by ASGI, whose client reads only while ``reads`` is set."""

    hub: FeedHub
    registry: CollectorRegistry
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = ""
    is_complete: bool = False

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.text += message.get("body", b"").decode()
        self.is_complete = message.get("more_body") is False

    def follow(self, gap: Gap | None = None, send_timeout_s: float = 60) -> asyncio.Task[None]:
        response = SnapshotStream(self.hub, EventFilter(), self.hub.ring.last_sequence, gap, send_timeout_s)
        scope: dict[str, Any] = {"type": "http", "method": "GET", "client": ("10.0.0.1", 1)}
        scope["extensions"] = {ABORT: {"abort": self.gone.set}}
        return asyncio.create_task(response(scope, self.receive, self.send))

    def cut_off(self, reason: str) -> float | None:
        return self.registry.get_sample_value("gexlake_stream_readers_cut_off_total", {"reason": reason})


@pytest.fixture
async def client() -> Client:
    registry = CollectorRegistry()
    hub = FeedHub(BrokerLink(), ROOM * EVENT_BYTES, Readers(10, registry), LatestSnapshots())
    hub.ring.cover(1)
    client = Client(hub, registry)
    client.reads.set()
    return client


def publish(client: Client, *sequences: int) -> None:
    for sequence in sequences:
        client.hub.ring.append(LiveEvent(sequence, a_message(sequence)))


async def test_a_stream_begins_with_a_place_to_come_back_to(client: Client) -> None:
    publish(client, 1)
    following = client.follow(Gap(after=0, first=1))
    await eventually(lambda: "gap" in client.text)
    assert client.text.startswith("retry: 1000\nid: 1\n\nevent: gap\ndata: {")
    publish(client, 2)
    await eventually(lambda: "\n\nid: 2\nevent: snapshot\ndata: {" in client.text)
    client.gone.set()
    await following
    assert client.registry.get_sample_value("gexlake_stream_readers") == 0


async def test_a_reader_that_falls_behind_is_told_and_the_response_is_complete(client: Client) -> None:
    following = client.follow()
    await eventually(lambda: client.text)
    client.reads.clear()
    publish(client, 1)
    await asyncio.sleep(0.05)
    publish(client, *range(2, 12))
    client.reads.set()
    await following
    assert client.text.endswith("\n\n: cut off: this reader is behind; connect again with Last-Event-ID\n\n")
    assert "id: 1\n" in client.text
    assert "id: 3\n" not in client.text
    assert (client.is_complete, client.cut_off("behind")) == (True, 1)


async def test_a_reader_that_reads_nothing_loses_its_connection(client: Client) -> None:
    following = client.follow(send_timeout_s=0.05)
    await eventually(lambda: client.text)
    client.reads.clear()
    publish(client, 1)
    await following
    assert (client.gone.is_set(), client.is_complete, client.cut_off("stalled")) == (True, False, 1)


async def test_when_intake_stops_a_response_is_completed(client: Client) -> None:
    following = client.follow()
    await eventually(lambda: client.text)
    publish(client, 1)
    client.hub.stop()
    await following
    assert "id: 1\n" in client.text
    assert (client.is_complete, client.cut_off("stalled"), client.cut_off("behind")) == (True, 0, 0)


async def test_when_intake_stops_a_reader_that_reads_nothing_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_connection, "_END_WITHIN_S", 0.05)
    following = client.follow()
    await eventually(lambda: client.text)
    client.reads.clear()
    publish(client, 1)
    client.hub.stop()
    await following
    assert client.gone.is_set()
