"""Pages of what a stream holds, without a consumer."""

from __future__ import annotations

import pytest

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.storage.stored_messages import Page, read_page
from shared.errors import BrokerUnavailable
from tests.support.intake.live import a_message, publish_live


async def page(bus: Bus, start: int, subject: str = subjects.ALL_LIVE_SNAPSHOTS, **limits: int) -> Page:
    limits = {"max_messages": 100, "max_bytes": 1_000_000, **limits}
    return await read_page(bus, subjects.FEED, subject, start, **limits)


def places(found: Page) -> list[int]:
    return [message.sequence for message in found.messages]


async def test_pages_follow_one_another_and_the_last_says_so(bus: Bus) -> None:
    sent = [a_message(second) for second in range(5)]
    await publish_live(bus, *sent)
    first = await page(bus, 1, max_messages=3)
    second = await page(bus, 4, max_messages=3)
    assert (places(first), first.pending) == ([1, 2, 3], 2)
    assert (places(second), second.pending) == ([4, 5], 0)
    assert (await page(bus, 6)).messages == ()
    assert first.messages[0].subject == sent[0].subject
    assert first.messages[0].at is not None


async def test_a_page_is_bounded_in_bytes_and_has_at_least_one_message(bus: Bus) -> None:
    await publish_live(bus, *(a_message(second, max_priors=["x" * 200_000]) for second in range(3)))
    assert places(await page(bus, 1, max_bytes=1000)) == [1]
    assert places(await page(bus, 2, max_bytes=450_000)) == [2, 3]


async def test_only_messages_under_the_subject_are_read(bus: Bus) -> None:
    await publish_live(bus, a_message(0), a_message(1, "NDX"), a_message(2), a_message(3, "NDX"))
    assert places(await page(bus, 1, subjects.live_snapshot("NDX"))) == [2, 4]
    assert places(await page(bus, 3, subjects.live_snapshot("VIX"))) == []


async def test_purged_messages_are_skipped(bus: Bus) -> None:
    await publish_live(bus, *(a_message(second) for second in range(4)))
    await bus.js.purge_stream(subjects.FEED, seq=3)
    assert places(await page(bus, 1)) == [3, 4]


async def test_an_unknown_stream_is_an_error_in_time(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bus.storage.stored_messages._TIMEOUT_S", 0.2)
    with pytest.raises(BrokerUnavailable):
        await read_page(bus, "NOWHERE", ">", 1, max_messages=1, max_bytes=1)
