"""Commands of jobs that fetch from Massive, and what they have published."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import SecretStr

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds.bar_messages import BarsMessage, decode
from shared.bus.messages import FetchFile
from shared.massive.bars import Bar, BarSource
from shared.massive.resources import MassiveUrls, Resource
from shared.massive.snapshots import MarketSnapshot
from tests.support.values import a_fetch, a_job


def command_for(massive: MassiveUrls, resource: Resource, **changes: Any) -> FetchFile:
    """Return the command of a job; ``changes`` are of the job."""
    values = {
        "ticker": resource.ticker,
        "endpoint": resource.endpoint,
        "trading_day": None,
        "base_url": massive.base_url_of(resource),
        **changes,
    }
    return a_fetch(a_job(**values), url=SecretStr(massive.url_of(resource)))


@dataclass
class Published:
    """What CHRONOX holds."""

    bars: dict[tuple[str, BarSource, bool], list[Bar]] = field(default_factory=dict)
    """By symbol, source, and whether they are adjusted; in the order of publication."""
    complete: dict[str, list[tuple[date, date]]] = field(default_factory=dict)
    snapshots: list[MarketSnapshot] = field(default_factory=list)


async def published(bus: Bus) -> Published:
    """Return what CHRONOX holds."""
    found = Published()
    for subject, data in await stored(bus, subjects.CHRONOX):
        message = decode(subject, data)
        assert message.subject == subject
        if not isinstance(message, BarsMessage):
            found.snapshots.append(message.payload)
            continue
        bars = message.payload
        if bars.bars:
            found.bars.setdefault((bars.symbol, bars.source, bars.adjusted), []).extend(bars.bars)
        if bars.complete_days:
            found.complete.setdefault(bars.symbol, []).append(bars.complete_days)
    return found


async def stored(bus: Bus, stream: str) -> list[tuple[str, bytes]]:
    """Return the subjects and contents of all messages of a stream."""
    state = (await bus.js.stream_info(stream)).state
    if not state.messages:
        return []
    messages = [await bus.js.get_msg(stream, seq=seq) for seq in range(state.first_seq, state.last_seq + 1)]
    return [(message.subject or "", message.data or b"") for message in messages]
