"""What a request says about its source: told by how it ended, and counted in the source's record.

    DELIVERED   the file came whole: a success
    ANSWERED    the source works, the request is at fault (401, 403, 404, 410, too large): a success
    UNUSABLE    it works, but what it gave is no file: no success
    FAILED      no connection, no answer in time, 408, 425, 429, 5xx, a body cut short: no success, and too
                many in a row open the circuit

Our own troubles (the disk, the broker, a URL that the gate refuses) say nothing about it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from services.fetcher.errors import (
    NotAHistoryFile,
    SourceRefused,
    StagingFailed,
    UnusableAnswer,
)
from services.fetcher.gexbot.errors import NoSignedUrl, VendorKeyMissing
from shared.errors import BrokerUnavailable, Deferred, Terminal, Transient
from shared.process.redaction import redact
from shared.sources.record import SourceRecord

NEWEST_WEIGHS: Final = 0.2
"""The share of the newest response time in the mean: the last ten make up nine tenths of it."""
_MAX_ERROR_LENGTH: Final = 300


class Outcome(StrEnum):
    """How a request ended, as far as its source is concerned."""

    DELIVERED = "delivered"
    ANSWERED = "answered"
    UNUSABLE = "unusable"
    FAILED = "failed"


SAYS: Final[dict[type[BaseException], Outcome | None]] = {
    Transient: Outcome.FAILED,
    Deferred: None,
    BrokerUnavailable: None,
    StagingFailed: None,
    Terminal: Outcome.ANSWERED,
    SourceRefused: None,
    NotAHistoryFile: Outcome.UNUSABLE,
    UnusableAnswer: Outcome.UNUSABLE,
    NoSignedUrl: Outcome.UNUSABLE,
    VendorKeyMissing: None,
}
"""What an error says about the source, None for nothing; the nearest base class decides."""


def outcome_of(error: BaseException | None) -> Outcome | None:
    """Return how a request ended; None if that says nothing about the source."""
    if error is None:
        return Outcome.DELIVERED
    return next((SAYS[kind] for kind in type(error).__mro__ if kind in SAYS), None)


def counted(
    record: SourceRecord, outcome: Outcome, now: datetime, response_s: float, error: str | None
) -> SourceRecord:
    """Return the record with one more request in its numbers.

    Args:
        record: the record before.
        outcome: how the request ended.
        now: when (UTC).
        response_s: the seconds until the source answered; a source that failed is not held to it.
        error: what went wrong, if anything did.
    """
    is_success = outcome in {Outcome.DELIVERED, Outcome.ANSWERED}
    changes: dict[str, object] = {
        "requests": record.requests + 1,
        "successes": record.successes + is_success,
    }
    if outcome is not Outcome.FAILED:
        changes["mean_response_s"] = _mean(record.mean_response_s, response_s)
    if outcome is Outcome.DELIVERED:
        changes["last_success_at"] = now
    if not is_success and error is not None:
        changes["last_error"] = redact(error)[:_MAX_ERROR_LENGTH]
    return record.model_copy(update=changes)


def _mean(mean: float | None, newest: float) -> float:
    return newest if mean is None else mean + NEWEST_WEIGHS * (newest - mean)
