"""The circuit breaker of a source, as functions of its health record and the time.

After several failures in a row the circuit opens for a while. Then one request, of all fetchers, probes the
source. If it is answered, the circuit closes on trial; if it or the next request fails, the circuit opens for
twice as long, up to a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gexlake.api.sources import Circuit
from shared.sources.record import SourceRecord

_MAX_DOUBLINGS: Final = 20


@dataclass(frozen=True)
class BreakerRules:
    """When a circuit opens, and for how long."""

    failures: int
    """The number of failures in a row that opens the circuit."""
    pause_s: float
    """How long the circuit is open the first time; doubled each time that it opens again."""
    max_pause_s: float
    probe_s: float
    """How long a probe may take."""


@dataclass(frozen=True)
class RequestAllowed:
    """The request may be made."""

    claim: SourceRecord | None = None
    """The record to write first if this request is the probe."""


@dataclass(frozen=True)
class CircuitOpen:
    """The request may not be made now."""

    until: datetime
    is_tried: bool
    """Whether a probe is running, which may end before ``until``."""


def decide(record: SourceRecord, now: datetime, rules: BreakerRules) -> RequestAllowed | CircuitOpen:
    """Decide whether a source may be requested at ``now``."""
    record = _without_far_times(record, now, rules)
    match record.circuit(now):
        case Circuit.CLOSED:
            return RequestAllowed()
        case Circuit.OPEN:
            return CircuitOpen(record.open_until or now, is_tried=False)
        case Circuit.HALF_OPEN:
            if record.probe_until is not None and now < record.probe_until:
                return CircuitOpen(record.probe_until, is_tried=True)
            return RequestAllowed(_with(record, probe_until=now + timedelta(seconds=rules.probe_s)))


def after_response(record: SourceRecord, rules: BreakerRules) -> SourceRecord:
    """Close the circuit on trial after the response to a probe; one failure opens it again."""
    return _with(record, failures_in_a_row=rules.failures - 1, open_until=None, probe_until=None)


def after_success(record: SourceRecord) -> SourceRecord:
    """Close the circuit."""
    return _with(
        record, failures_in_a_row=0, openings=0, open_until=None, probe_until=None, failing_since=None
    )


def after_failure(
    record: SourceRecord, now: datetime, rules: BreakerRules, *, was_probe: bool
) -> SourceRecord:
    """Count a failure; open the circuit after too many in a row or after a failed probe.

    A request that began before the circuit opened changes only the count.
    """
    record = _with(
        record,
        failures_in_a_row=record.failures_in_a_row + 1,
        failing_since=record.failing_since or now,
    )
    match record.circuit(now):
        case Circuit.CLOSED:
            opens = record.failures_in_a_row >= rules.failures
        case Circuit.HALF_OPEN:
            opens = was_probe
        case Circuit.OPEN:
            opens = False
    return _opened(record, now, rules) if opens else record


def without_probe(record: SourceRecord) -> SourceRecord:
    """Allow another probe: this one ended without a response."""
    return _with(record, probe_until=None)


def _without_far_times(record: SourceRecord, now: datetime, rules: BreakerRules) -> SourceRecord:
    """Drop times further away than any pause or probe lasts: the clock was set back since.

    Clocks of fetchers that differ by less than a pause change nothing.
    """
    open_until, probe_until = record.open_until, record.probe_until
    if open_until is not None and open_until > now + timedelta(seconds=2 * rules.max_pause_s):
        open_until = now
    if probe_until is not None and probe_until > now + timedelta(seconds=2 * rules.probe_s):
        probe_until = None
    return _with(record, open_until=open_until, probe_until=probe_until)


def _opened(record: SourceRecord, now: datetime, rules: BreakerRules) -> SourceRecord:
    pause_s = min(rules.max_pause_s, rules.pause_s * 2.0 ** min(record.openings, _MAX_DOUBLINGS))
    return _with(
        record,
        openings=record.openings + 1,
        open_until=now + timedelta(seconds=pause_s),
        probe_until=None,
    )


def _with(record: SourceRecord, **changes: object) -> SourceRecord:
    return record.model_copy(update=changes)
