"""When a source is left alone: records and a clock in, a decision out.

After so many failures in a row a source is left alone for a while. Then one request tries it, whichever
fetcher that belongs to. If it is answered, the others follow; if it fails, or the next one does, the source
is left alone for twice as long as before, up to a cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gexlake.api.sources import Circuit
from shared.sources.record import SourceRecord

_DOUBLES_AT_MOST: Final = 20


@dataclass(frozen=True)
class BreakerRules:
    """When to leave a source alone, and for how long."""

    failures: int
    """How many failures in a row are too many."""
    pause_s: float
    """How long the first time; it doubles with each time that the source does not come back."""
    longest_pause_s: float
    probe_s: float
    """How long the answer to the request that tries the source is waited for."""


@dataclass(frozen=True)
class Ask:
    """The source may be asked."""

    claim: SourceRecord | None = None
    """What has to be written first: this request is the one that tries the source."""


@dataclass(frozen=True)
class CircuitOpen:
    """The source may not be asked now."""

    until: datetime
    is_tried: bool
    """Whether another request is trying it: its end is known sooner than ``until``."""


def may_ask(record: SourceRecord, now: datetime, rules: BreakerRules) -> Ask | CircuitOpen:
    """Decide whether a source is asked at the moment ``now``."""
    match record.circuit(now):
        case Circuit.CLOSED:
            return Ask()
        case Circuit.OPEN:
            return CircuitOpen(record.open_until or now, is_tried=False)
        case Circuit.HALF_OPEN:
            if record.probe_until is not None and now < record.probe_until:
                return CircuitOpen(record.probe_until, is_tried=True)
            return Ask(_with(record, probe_until=now + timedelta(seconds=rules.probe_s)))


def after_an_answer(record: SourceRecord, rules: BreakerRules) -> SourceRecord:
    """Let the others ask, too, since a source that was tried has begun to answer; one failure ends that."""
    return _with(record, failures_in_a_row=rules.failures - 1, open_until=None, probe_until=None)


def after_a_success(record: SourceRecord) -> SourceRecord:
    """Ask the source as usual: it works, whoever found out."""
    return _with(record, failures_in_a_row=0, openings=0, open_until=None, probe_until=None)


def after_a_failure(
    record: SourceRecord, now: datetime, rules: BreakerRules, *, was_probe: bool
) -> SourceRecord:
    """Count a failure; leave the source alone if it is one too many, or if the source was being tried.

    A request that was under way when the source was given up on tells nothing new.
    """
    record = _with(record, failures_in_a_row=record.failures_in_a_row + 1)
    match record.circuit(now):
        case Circuit.CLOSED:
            is_too_much = record.failures_in_a_row >= rules.failures
        case Circuit.HALF_OPEN:
            is_too_much = was_probe
        case Circuit.OPEN:
            is_too_much = False
    return _opened(record, now, rules) if is_too_much else record


def without_probe(record: SourceRecord) -> SourceRecord:
    """Let another request try the source: this one ended without a word from it."""
    return _with(record, probe_until=None)


def _opened(record: SourceRecord, now: datetime, rules: BreakerRules) -> SourceRecord:
    pause_s = min(rules.longest_pause_s, rules.pause_s * 2.0 ** min(record.openings, _DOUBLES_AT_MOST))
    return _with(
        record,
        openings=record.openings + 1,
        open_until=now + timedelta(seconds=pause_s),
        probe_until=None,
    )


def _with(record: SourceRecord, **changes: object) -> SourceRecord:
    return record.model_copy(update=changes)
