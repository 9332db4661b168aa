"""The newest snapshot of each ticker and endpoint: in memory, put together from its parts, or in the lake."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from gexlake.api.lake import SqlRequest, text_literal
from services.intake.calls.lake_queries import LakeQueries
from services.intake.live.events import encode_snapshot
from shared.bus.feeds.live_messages import LiveSnapshot, Snapshot, SnapshotPart

KEPT: Final = 4
"""How many seconds of a ticker and endpoint are kept: parts of the last ones may still come."""
MAX_KEYS: Final = 500
"""Of how many tickers and endpoints; the one that was silent longest goes first."""
MAX_STRIKES: Final = 300_000
"""Of all of them together: some 100 MiB."""
_KEY: Final = frozenset({"ticker", "endpoint", "timestamp", "part"})
_COLUMNS: Final = tuple(name for name in Snapshot.__struct_fields__ if name not in _KEY)

_JSON_COLUMNS: Final = ("max_priors", "priors")
_LEFT_OUT: Final = frozenset({"source", "job_id"})
_STRIKE: Final = ("strike", "gamma", "oi_gamma", "priors")
_MAX_ROWS: Final = 100_000
_TIMEOUT_S: Final = 10.0
_NEWEST: Final = """
SELECT * FROM gex_snapshots WHERE ticker = {ticker} AND endpoint = {endpoint}
ORDER BY spot_price IS NULL, timestamp DESC LIMIT 1
"""
_STRIKES: Final = """
SELECT strike, gamma, oi_gamma, priors FROM gex_strikes
WHERE ticker = {ticker} AND endpoint = {endpoint} AND timestamp = {timestamp} ORDER BY strike
"""


@dataclass(frozen=True)
class Latest:
    """A snapshot as far as it is known.

    Args:
        sequence: where in FEED the newest of its parts is.
        received_at: when that was received.
        snapshot: the parts together.
    """

    sequence: int
    received_at: datetime
    snapshot: Snapshot

    @property
    def is_whole(self) -> bool:
        """Whether there is more than parts that came alone."""
        return self.snapshot.spot_price is not None

    @property
    def json(self) -> bytes:
        """The snapshot as the events have it."""
        return encode_snapshot(self.sequence, SnapshotPart.SNAPSHOT, self.received_at, self.snapshot)


class LatestSnapshots:
    """The newest snapshots, in memory.

    Args:
        max_strikes: how many strikes they may have together.
    """

    def __init__(self, max_strikes: int = MAX_STRIKES) -> None:
        self._max_strikes: Final = max_strikes
        self._strikes = 0
        self._by_key: OrderedDict[tuple[str, str], dict[int, Latest]] = OrderedDict()

    def add(self, sequence: int, message: LiveSnapshot) -> None:
        """Merge the next message of FEED into the snapshot of its second."""
        new = message.payload
        key = (new.ticker, new.endpoint)
        seconds = self._by_key.setdefault(key, {})
        self._by_key.move_to_end(key)
        known = seconds.get(new.timestamp)
        snapshot = merge(known.snapshot, new) if known else new
        seconds[new.timestamp] = Latest(sequence, message.occurred_at, snapshot)
        self._strikes += _strikes_of(snapshot) - (_strikes_of(known.snapshot) if known else 0)
        if len(seconds) > KEPT:
            self._strikes -= _strikes_of(seconds.pop(min(seconds)).snapshot)
        while len(self._by_key) > MAX_KEYS or (self._strikes > self._max_strikes and len(self._by_key) > 1):
            _, silent = self._by_key.popitem(last=False)
            self._strikes -= sum(_strikes_of(latest.snapshot) for latest in silent.values())

    def get(self, ticker: str, endpoint: str) -> Latest | None:
        """Return the newest snapshot that has a spot price, or the newest parts if there is none."""
        seconds = self._by_key.get((ticker, endpoint), {})
        return max(
            seconds.values(), key=lambda latest: (latest.is_whole, latest.snapshot.timestamp), default=None
        )


def _strikes_of(snapshot: Snapshot) -> int:
    return len(snapshot.strikes or ())


def merge(old: Snapshot, new: Snapshot) -> Snapshot:
    """Return two messages of one second as the lake stores them: each column of ``new``, else of ``old``.

    Strikes are replaced as a whole, if ``new`` has any.
    """
    sent = {name: value for name in _COLUMNS if (value := getattr(new, name)) is not None}
    if not new.strikes:
        sent.pop("strikes", None)
    return msgspec.structs.replace(old, **sent)


async def newest_in(lake: LakeQueries, ticker: str, endpoint: str) -> dict[str, Any] | None:
    """Return the newest snapshot of a ticker and endpoint in the lake, as the events have it, or None.

    Raises:
        Refused: the importer does not answer, or refuses.
        BrokerUnavailable: the connection was lost.
    """
    names = {"ticker": text_literal(ticker), "endpoint": text_literal(endpoint)}
    found = await _rows(lake, _NEWEST.format(**names), 1)
    if not found:
        return None
    snapshot = {name: value for name, value in found[0].items() if name not in _LEFT_OUT}
    strikes = await _rows(lake, _STRIKES.format(**names, timestamp=snapshot["timestamp"]), _MAX_ROWS)
    return snapshot | {"strikes": [[row[name] for name in _STRIKE] for row in strikes]}


async def _rows(lake: LakeQueries, query: str, max_rows: int) -> list[dict[str, Any]]:
    response = await lake.rows(SqlRequest(query=query, max_rows=max_rows, timeout_s=_TIMEOUT_S))
    names = [column.name for column in response.columns]
    return [
        {name: _value(name, value) for name, value in zip(names, row, strict=True)} for row in response.rows
    ]


def _value(name: str, value: Any) -> Any:
    return json.loads(value) if name in _JSON_COLUMNS and isinstance(value, str) else value
