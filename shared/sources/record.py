"""The health record of a source: its requests, their outcomes, and the state of its circuit breaker.

One record for each source in the stream ``SOURCES``. Fetchers write it, intake shows it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, Field

from gexlake.api.sources import Circuit
from shared.bus.frozen import Frozen

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class SourceRecord(Frozen):
    """The health of one source."""

    base_url: str
    """Scheme, host and a non-default port: ``https://hist.gex.bot``."""
    requests: int = Field(default=0, ge=0)
    successes: int = Field(default=0, ge=0)
    mean_response_s: float | None = None
    """Exponential mean of the response time, in seconds; None before the first response."""
    last_success_at: AwareDatetime | None = None
    """When it last delivered a file or a signed URL (UTC)."""
    last_error: str | None = None
    """The text of the last error."""
    failures_in_a_row: int = Field(default=0, ge=0)
    failing_since: AwareDatetime | None = None
    """When the first failure since the last success was (UTC); None when there was none."""
    openings: int = Field(default=0, ge=0)
    """How often the circuit has opened since the last success; each time for longer."""
    open_until: AwareDatetime | None = None
    """When the circuit becomes half-open; None while it is closed."""
    probe_until: AwareDatetime | None = None
    """When the running probe times out; None if there is none."""
    given_name: str | None = None
    """The name that a client has given it."""
    deactivated_at: AwareDatetime | None = None
    """When a client deactivated it (UTC); None while it is active."""
    deactivated_by: str | None = None
    """Who deactivated it."""

    @property
    def source_id(self) -> UUID:
        """The natural identity of the source."""
        return uuid5(NAMESPACE_URL, self.base_url)

    @property
    def name(self) -> str:
        """The display name: the one that it was given, or its host."""
        return self.given_name or self.base_url.partition("://")[2]

    @property
    def is_changed_by_client(self) -> bool:
        """Whether the record has what only a client can say, so that it must not expire."""
        return self.given_name is not None or self.deactivated_at is not None

    @property
    def reliability(self) -> float | None:
        """The share of requests that succeeded; None when there were none."""
        return self.successes / self.requests if self.requests else None

    def deactivated(self, by: str, now: datetime) -> SourceRecord:
        """Return the record of a source that is not requested any more; a deactivated one stays as it is."""
        if self.deactivated_at is not None:
            return self
        return self.model_copy(update={"deactivated_at": now, "deactivated_by": by})

    def activated(self) -> SourceRecord:
        """Return the record of a source that is requested again at once: its circuit is closed, too."""
        changes: dict[str, object] = {
            "deactivated_at": None,
            "deactivated_by": None,
            "failures_in_a_row": 0,
            "failing_since": None,
            "openings": 0,
            "open_until": None,
            "probe_until": None,
        }
        return self.model_copy(update=changes)

    def named(self, name: str) -> SourceRecord:
        """Return the record with another display name; its host takes the given name away."""
        host = self.base_url.partition("://")[2]
        return self.model_copy(update={"given_name": None if name == host else name})

    def circuit(self, now: datetime) -> Circuit:
        """Return the state of the circuit at ``now``."""
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
