"""How often intake proves that its streams can be written, without a broker."""

from __future__ import annotations

import asyncio
from typing import cast

from services.intake.state.broker_link import BrokerLink
from services.intake.state.write_probe import CACHED_S, PROBED, WriteProbe
from shared.bus.connection import Bus
from shared.errors import BrokerUnavailable


class FakeBus:
    """A connection whose streams take messages, or do not."""

    is_connected = True

    def __init__(self) -> None:
        self.published: list[str] = []
        self.refuses = ""

    @property
    def js(self) -> FakeBus:
        return self

    async def publish(self, _subject: str, _data: bytes, *, stream: str, msg_ttl: float) -> None:
        assert msg_ttl > 0
        self.published.append(stream)
        await asyncio.sleep(0)
        if stream == self.refuses:
            raise TimeoutError


class Fixture:
    def __init__(self) -> None:
        self.bus = FakeBus()
        self.now = 100.0
        self.probe = WriteProbe(BrokerLink(cast(Bus, self.bus)), lambda: self.now)


async def test_many_requests_within_a_second_publish_one_message_to_each_stream() -> None:
    fixture = Fixture()
    results = await asyncio.gather(*(fixture.probe.why_not_writable() for _ in range(20)))
    assert results == [[]] * 20
    assert sorted(fixture.bus.published) == sorted(PROBED)


async def test_a_stream_that_takes_no_messages_is_named_until_it_takes_them_again() -> None:
    fixture = Fixture()
    fixture.bus.refuses = PROBED[0]
    (reason,) = await fixture.probe.why_not_writable()
    assert f"the stream {PROBED[0]} takes no messages" in reason
    fixture.bus.refuses = ""
    assert await fixture.probe.why_not_writable() == [reason]
    fixture.now += CACHED_S
    assert await fixture.probe.why_not_writable() == []


async def test_without_a_connection_every_stream_has_a_reason() -> None:
    fixture = Fixture()
    fixture.bus.is_connected = False
    reasons = await fixture.probe.why_not_writable()
    assert len(reasons) == len(PROBED)
    assert str(BrokerUnavailable("connect to it")) in reasons[0]
