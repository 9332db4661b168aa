"""Compare the payloads that were answered with success with the rows of the lake, by SQL over HTTP."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import httpx

from bench.live.payloads import STRIKES, strikes_of_snapshots
from bench.measure.processes import BenchFailed
from gexlake.api import services
from gexlake.api.rpc import CallFailed, call
from gexlake.api.services import PartitionDifference, VerifyRequest
from shared.bus.connection import Bus
from shared.process.settings import Settings

_DRAINED_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.5
_VERIFY_WITHIN_S: Final = 300.0
_SNAPSHOTS: Final = """
SELECT concat_ws(' ', ticker, endpoint, timestamp), count(*) FROM gex_snapshots
WHERE source = 'live' GROUP BY ticker, endpoint, timestamp"""
_STRIKES: Final = """
SELECT concat_ws(' ', ticker, endpoint, timestamp), CASE WHEN count(*) = {count} THEN 1 ELSE 2 END
FROM gex_strikes WHERE timestamp >= {since_ms} GROUP BY ticker, endpoint, timestamp
HAVING sum(strike) >= {total}"""
_WEBHOOKS: Final = """
SELECT coalesce(payload_json ->> '$.id', payload_json ->> '$.call_volume'), count(*) FROM universal_webhooks
GROUP BY ALL"""
_TRADES: Final = "SELECT trade_id, count(*) FROM option_trades_events GROUP BY ALL"
_AGGREGATES: Final = "SELECT call_volume, count(*) FROM market_agg_state GROUP BY ALL"


@dataclass(frozen=True)
class Finding:
    """What one table holds of the payloads answered with success."""

    table: str
    answered: int
    lost: int
    twice: int
    seconds: float
    """From the end of the load to the moment at which all were there."""

    @property
    def is_exact(self) -> bool:
        """Whether each is there exactly once."""
        return not self.lost and not self.twice

    def cells(self) -> list[str]:
        """Return the figures as table cells."""
        return [self.table, f"{self.answered:,}", str(self.lost), str(self.twice), f"{self.seconds:.1f}"]


class Lake:
    """The lake behind a running system.

    Args:
        url: of intake.
        since_ms: when the load began: the time of the first live snapshot or an earlier one.
    """

    def __init__(self, url: str, since_ms: int) -> None:
        self._url: Final = url
        self._since_ms: Final = since_ms

    def findings(self, loads: Sequence[Mapping[str, Sequence[str]]]) -> list[Finding]:
        """Wait until the lake has what was answered, and return what each table holds of it.

        Args:
            loads: keys of the payloads that were answered with success, by kind.
        """
        began_s = time.monotonic()

        def check(table: str, kinds: Collection[str], stored: Callable[[], Mapping[str, int]]) -> Finding:
            answered = list(chain.from_iterable(load.get(kind, ()) for load in loads for kind in kinds))
            while True:
                counts = stored()
                lost = sum(key not in counts for key in answered)
                seconds = time.monotonic() - began_s
                if not lost or seconds > _DRAINED_WITHIN_S:
                    return Finding(table, len(answered), lost, _surplus(counts), seconds)
                time.sleep(_POLL_S)

        return [
            check("gex_snapshots", ["snapshots"], lambda: self._counts(_SNAPSHOTS)),
            check(f"gex_strikes, {STRIKES} a snapshot", ["snapshots"], self._complete),
            check("universal_webhooks", ["trades", "aggregates"], lambda: self._counts(_WEBHOOKS)),
            check("option_trades_events", ["trades"], lambda: self._counts(_TRADES)),
            check("market_agg_state", ["aggregates"], lambda: self._counts(_AGGREGATES)),
        ]

    def _complete(self) -> Mapping[str, int]:
        """Return the snapshots that have all their strikes; 2 for those that have more rows than that."""
        strikes = strikes_of_snapshots()
        values = {"count": len(strikes), "total": sum(strikes), "since_ms": self._since_ms}
        return self._counts(_STRIKES.format(**values))

    def _counts(self, query: str) -> dict[str, int]:
        return {key: int(number) for key, number in self.rows(query)}

    def rows(self, query: str) -> Iterator[list[str]]:
        """Yield the rows of a query as text."""
        answer = httpx.post(
            f"{self._url}/api/v1/sql",
            json={"query": query, "timeout_s": 60},
            headers={"Accept": "text/csv"},
            timeout=90,
            trust_env=False,
        )
        answer.raise_for_status()
        rows = csv.reader(io.StringIO(answer.text))
        next(rows)
        yield from rows


async def differences(nats_url: str) -> Sequence[PartitionDifference]:
    """Return the partitions whose table and Parquet file differ.

    Raises:
        BenchFailed: the importer does not answer.
    """
    bus = await Bus.connect(Settings(nats_url=nats_url), "bench")
    try:
        return (await call(bus.client, services.VERIFY, VerifyRequest(), _VERIFY_WITHIN_S)).differences
    except CallFailed as error:
        raise BenchFailed(str(error)) from error
    finally:
        await bus.close()


def _surplus(counts: Mapping[str, int]) -> int:
    return sum(number - 1 for number in counts.values())
