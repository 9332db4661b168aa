"""What is known of a source: how often it was asked, how well it answered, and whether it is left alone.

One record a source in the stream ``SOURCES``. Fetchers write it, by turns; intake shows it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, Field

from gexlake.api.sources import Circuit
from shared.bus.messages import Frozen

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class SourceRecord(Frozen):
    """The history of one source."""

    base_url: str
    """Scheme, host and the port if it is an odd one: ``https://hist.gex.bot``."""
    requests: int = Field(default=0, ge=0)
    successes: int = Field(default=0, ge=0)
    mean_response_s: float | None = None
    """Exponential mean of the time until the source answered; None until it did."""
    last_success_at: AwareDatetime | None = None
    """When it last gave what it was asked for (UTC)."""
    last_error: str | None = None
    """What the last failure said."""
    failures_in_a_row: int = Field(default=0, ge=0)
    openings: int = Field(default=0, ge=0)
    """How many times it was left alone since it last worked; each time longer than before."""
    open_until: AwareDatetime | None = None
    """Until when it is left alone; None when it is asked as usual."""
    probe_until: AwareDatetime | None = None
    """Until when the one request that tries it is waited for; None when there is none."""

    @property
    def source_id(self) -> UUID:
        """The natural identity of the source."""
        return uuid5(NAMESPACE_URL, self.base_url)

    @property
    def name(self) -> str:
        """How people call it: by its host."""
        return self.base_url.partition("://")[2]

    @property
    def reliability(self) -> float | None:
        """The share of requests that succeeded; None when there were none."""
        return self.successes / self.requests if self.requests else None

    def circuit(self, now: datetime) -> Circuit:
        """Tell whether the source is asked at the moment ``now``."""
        if self.open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.open_until else Circuit.HALF_OPEN


def origin_of(url: str) -> str | None:
    """Return the source of an http(s) URL, as ``SourceRecord.base_url`` spells it; None if it has none."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")
