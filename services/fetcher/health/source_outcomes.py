"""Classify how a request to a source ended, and count it in the source's health record.

    DELIVERED   the file is complete: a success
    ANSWERED    the source works, the request is wrong (401, 403, 404, 410, too large): a success
    UNUSABLE    the source works, but what it sends cannot be used: not a success
    FAILED      no connection, no response in time, 408, 425, 429, 5xx, an incomplete body: not a success, and
                too many in a row open the circuit

Errors of the fetcher itself (disk, broker, a URL that the gate refuses) do not count.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from services.fetcher.errors import (
    NotAHistoryFile,
    SourceForbids,
    SourceRefused,
    SourceUnavailable,
    StagingFailed,
    UnusableAnswer,
)
from services.fetcher.gexbot.errors import NoSignedUrl, VendorForbids, VendorKeyMissing
from services.fetcher.massive.errors import (
    DayNotOver,
    FileKeysMissing,
    FlatFileNotYet,
    MalformedAnswer,
    MassiveKeyMissing,
    SnapshotsRejected,
)
from shared.errors import BrokerUnavailable, Deferred, Terminal, Transient
from shared.process.redaction import redact
from shared.sources.record import SourceRecord

NEWEST_WEIGHS: Final = 0.2
"""The weight of the newest response time in the exponential mean."""
_MAX_ERROR_LENGTH: Final = 300


class Outcome(StrEnum):
    """How a request to a source ended."""

    DELIVERED = "delivered"
    ANSWERED = "answered"
    UNUSABLE = "unusable"
    FAILED = "failed"


OUTCOMES: Final[dict[type[BaseException], Outcome | None]] = {
    Transient: Outcome.FAILED,
    Deferred: None,
    BrokerUnavailable: None,
    StagingFailed: None,
    SourceUnavailable: Outcome.FAILED,  # SourceUnreachable is also Deferred
    SourceForbids: Outcome.ANSWERED,
    VendorForbids: Outcome.ANSWERED,
    Terminal: Outcome.ANSWERED,
    SourceRefused: None,
    NotAHistoryFile: Outcome.UNUSABLE,
    UnusableAnswer: Outcome.UNUSABLE,
    NoSignedUrl: Outcome.UNUSABLE,
    VendorKeyMissing: None,
    DayNotOver: Outcome.ANSWERED,
    FlatFileNotYet: Outcome.ANSWERED,
    SnapshotsRejected: Outcome.UNUSABLE,
    MalformedAnswer: Outcome.UNUSABLE,
    MassiveKeyMissing: None,
    FileKeysMissing: None,
}
"""The outcome of an error, None if it does not count; the nearest base class decides."""


def outcome_of(error: BaseException | None) -> Outcome | None:
    """Return the outcome of a request; None if it does not count."""
    if error is None:
        return Outcome.DELIVERED
    return next((OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES), None)


def count_request(
    record: SourceRecord, outcome: Outcome, now: datetime, response_s: float, error: str | None
) -> SourceRecord:
    """Return the record with one more request counted.

    Args:
        record: the record so far.
        outcome: the outcome of the request.
        now: the current time (UTC).
        response_s: the seconds until the response; ignored for a failure.
        error: the error text, if any.
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
