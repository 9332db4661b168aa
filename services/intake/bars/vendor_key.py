"""Whether a fetcher can ask Massive for bars: it says in its heartbeats whether it has a key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from shared.bus.reports.presence import HEARTBEAT_INTERVAL_S, Heartbeat

_ALIVE_WITHIN: Final = timedelta(seconds=3 * HEARTBEAT_INTERVAL_S)


def no_key_anywhere(heartbeats: Iterable[Heartbeat], now: datetime) -> bool:
    """Return whether there is a fetcher, and every one says that it has no key of Massive.

    Args:
        heartbeats: the last of every service; the service of an old one may be gone.
        now: the present moment (UTC).
    """
    fetchers = [beat for beat in heartbeats if beat.service == "fetcher" and now - beat.at < _ALIVE_WITHIN]
    return bool(fetchers) and all(beat.has_massive_key is False for beat in fetchers)
