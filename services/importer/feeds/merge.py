"""Messages of one snapshot become one row: what a later message has wins, and what it lacks stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from shared.bus.feeds.live_messages import Snapshot, Strike
from shared.gexbot.partition import Partition

VALUES: Final = tuple(
    field
    for field in Snapshot.__struct_fields__
    if field not in {"ticker", "endpoint", "timestamp", "part", "strikes"}
)
"""The fields of a message that are columns of ``gex_snapshots``, beside its key."""


class Key(NamedTuple):
    """What a snapshot is known by."""

    timestamp: int
    ticker: str
    endpoint: str


@dataclass(slots=True)
class MergedSnapshot:
    """A snapshot, or what a batch has of it."""

    trading_day: date
    values: list[Any]
    """In the order of ``VALUES``; None for what the batch does not have."""
    strikes: list[Strike] | None
    """None if the batch has none."""


def merge(snapshots: Iterable[tuple[Snapshot, date]]) -> dict[Key, MergedSnapshot]:
    """Return one snapshot a key, in the order of their first messages.

    Args:
        snapshots: in the order of the stream, each with its trading day.
    """
    merged: dict[Key, MergedSnapshot] = {}
    for snapshot, day in snapshots:
        key = Key(snapshot.timestamp, snapshot.ticker, snapshot.endpoint)
        values = [getattr(snapshot, name) for name in VALUES]
        known = merged.get(key)
        if known is None:
            merged[key] = MergedSnapshot(day, values, snapshot.strikes or None)
            continue
        known.values = [old if new is None else new for new, old in zip(values, known.values, strict=True)]
        known.strikes = snapshot.strikes or known.strikes
    return merged


def partitions_of(merged: dict[Key, MergedSnapshot]) -> frozenset[Partition]:
    """Return the partitions of snapshots."""
    return frozenset(
        Partition(key.ticker, key.endpoint, snapshot.trading_day) for key, snapshot in merged.items()
    )
