"""Dead letters of bars that the vendor sends and the lake cannot store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from gexlake.api.chronox.symbols import Phase
from services.fetcher.massive.decode import RejectedBar
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer.dead_letters import ERROR, FIELD, REASON
from shared.process.redaction import redact

MAX_BARS: Final = 1000
"""How many bars a dead letter has at most; its reason counts all."""
_MAX_REASON: Final = 1024


async def publish_rejected(bus: Bus, symbol: str, rejected: Sequence[RejectedBar]) -> None:
    """Publish a dead letter with bars of a symbol, as they were sent, and why each is not stored.

    Raises:
        BrokerUnavailable: no ack in time.
    """
    bars = [{"sent": bar.sent, "reason": bar.reason} for bar in rejected[:MAX_BARS]]
    data = msgspec.json.encode({"symbol": symbol, "bars": bars})
    first = rejected[0].reason
    reason = redact(f"{len(rejected)} bars of {symbol} are not stored: {first}")[:_MAX_REASON]
    headers = {REASON: " ".join(reason.split()), ERROR: "RejectedBar", FIELD: first.partition(":")[0][:64]}
    subject = subjects.dead(subjects.chronox(Phase.BACKFILL, symbol))
    await bus.publish(subject, data, subjects.DEAD, hashlib.sha256(data).hexdigest(), headers)
