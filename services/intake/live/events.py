"""What readers of live snapshots get: an event for each message of FEED, encoded once for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

import msgspec

from services.intake.errors import Unprocessable
from services.intake.live.payload import LIVE_ENDPOINTS
from shared.bus import subjects
from shared.bus.feeds.live_messages import LiveSnapshot, Snapshot, SnapshotPart
from shared.gexbot.partition import category_named, normalize_ticker

_OVERHEAD_BYTES: Final = 600
"""What Python needs for an event, its id and its names beside the JSON."""


class _Head(msgspec.Struct):
    id: int
    event: SnapshotPart
    received_at: datetime


class _ReplayHead(msgspec.Struct):
    received_at: datetime
    event: Literal["replay"] = "replay"


_ENCODER: Final = msgspec.json.Encoder()


def encode_snapshot(sequence: int, event: SnapshotPart, received_at: datetime, snapshot: Snapshot) -> bytes:
    """Return a snapshot as compact JSON: ``id``, ``event`` and ``received_at``, then its columns.

    Columns without a value are left out.
    """
    head = _ENCODER.encode(_Head(sequence, event, received_at))
    columns = _ENCODER.encode(msgspec.structs.replace(snapshot, part=SnapshotPart.SNAPSHOT))
    return b"".join((head[:-1], b",", columns[1:]))


class LiveEvent:
    """A message of FEED as readers get it.

    Attributes:
        sequence: its place in FEED; the event's id.
        ticker: of the snapshot.
        endpoint: of the snapshot.
        event: the part of the snapshot that it has.
        json: its JSON.
    """

    __slots__ = ("endpoint", "event", "json", "sequence", "ticker")

    def __init__(self, sequence: int, message: LiveSnapshot) -> None:
        snapshot = message.payload
        self.sequence = sequence
        self.ticker = snapshot.ticker
        self.endpoint = snapshot.endpoint
        self.event = snapshot.part
        self.json = encode_snapshot(sequence, snapshot.part, message.occurred_at, snapshot)

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, about."""
        return len(self.json) + _OVERHEAD_BYTES

    @property
    def sse(self) -> bytes:
        """The event as a server-sent event."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.sequence, self.event.encode(), self.json)


class ReplayEvent(LiveEvent):
    """A replayed snapshot as readers of replays get it: marked, and without an id.

    Args:
        number: counts the replayed events of this process.
        snapshot: a snapshot, or a part of one; its JSON says which if it is a part.
        received_at: when it was posted (UTC).
    """

    __slots__ = ()

    def __init__(self, number: int, snapshot: Snapshot, received_at: datetime) -> None:
        self.sequence = number
        self.ticker = snapshot.ticker
        self.endpoint = snapshot.endpoint
        self.event = snapshot.part
        head, columns = _ENCODER.encode(_ReplayHead(received_at)), _ENCODER.encode(snapshot)
        self.json = b"".join((head[:-1], b",", columns[1:]))

    @property
    def sse(self) -> bytes:
        """The event as a server-sent event."""
        return b"event: replay\ndata: %s\n\n" % self.json


def as_sse(events: Iterable[LiveEvent]) -> bytes:
    """Return events as server-sent events."""
    return b"".join(event.sse for event in events)


@dataclass(frozen=True)
class EventFilter:
    """Which events a reader wants; an empty set stands for all."""

    tickers: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, tickers: str, endpoints: str) -> Self:
        """Return the filter of two comma-separated lists.

        Raises:
            Unprocessable: one of them has a name that cannot be.
        """
        return cls(
            frozenset(parse_ticker(each) for each in _parts(tickers)),
            frozenset(parse_endpoint(each) for each in _parts(endpoints)),
        )

    def matches(self, event: LiveEvent) -> bool:
        """Report whether the reader wants an event."""
        return (not self.tickers or event.ticker in self.tickers) and (
            not self.endpoints or event.endpoint in self.endpoints
        )

    @property
    def subject(self) -> str:
        """The narrowest subject of FEED that has all of its events."""
        if len(self.tickers) == 1:
            (ticker,) = self.tickers
            return subjects.live_snapshot(ticker)
        return subjects.ALL_LIVE_SNAPSHOTS


def parse_ticker(text: str) -> str:
    """Return a ticker of a query.

    Raises:
        Unprocessable: it cannot be one.
    """
    try:
        return normalize_ticker(text)
    except ValueError as error:
        raise Unprocessable("ticker", "ticker", str(error)) from error


def parse_endpoint(text: str) -> str:
    """Return an endpoint of a query.

    Raises:
        Unprocessable: it has no live snapshots.
    """
    endpoint = category_named(text.strip().lower())
    if endpoint not in LIVE_ENDPOINTS:
        raise Unprocessable(
            "endpoint",
            "endpoint",
            f"{text[:80]!r} has no live snapshots: use one of {', '.join(LIVE_ENDPOINTS)}",
        )
    return endpoint


def _parts(text: str) -> list[str]:
    return [part for part in (each.strip() for each in text.split(",")) if part]
