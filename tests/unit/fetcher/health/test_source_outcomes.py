"""What a request says about its source, and how it counts."""

from __future__ import annotations

import asyncio
import errno
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.fetcher.errors import (
    ErrorInsteadOfFile,
    FileIncomplete,
    FileTooLarge,
    NotAHistoryFile,
    SignatureRejected,
    SourceBusy,
    SourceForbids,
    SourceMissing,
    SourceRefused,
    SourceUnavailable,
    SourceUnreachable,
    UnusableAnswer,
    staging_error,
)
from services.fetcher.gexbot.errors import (
    LeaseTaken,
    NoHistory,
    NoSignedUrl,
    VendorError,
    VendorForbids,
    VendorKeyMissing,
    VendorRefused,
)
from services.fetcher.health.source_outcomes import Outcome, count_request, outcome_of
from services.fetcher.massive.errors import (
    DayNotOver,
    FileKeysMissing,
    FlatFileNotYet,
    FlatFileRefused,
    MalformedAnswer,
    MassiveKeyMissing,
    NotEntitled,
    RateLimited,
    SnapshotsRejected,
)
from shared.errors import BrokerUnavailable, StreamFull
from shared.gexbot.partition import Partition
from shared.sources.record import SourceRecord
from tests.support.values import NOON

HOST = "https://hist.gex.bot"
DAY = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
NEW = SourceRecord(base_url=HOST)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.DELIVERED),
        (SourceMissing(HOST, "it answered 404"), Outcome.ANSWERED),
        (SignatureRejected(HOST, 403), Outcome.ANSWERED),
        (FileTooLarge(HOST, 11, 10), Outcome.ANSWERED),
        (UnusableAnswer(HOST, "answered 418"), Outcome.UNUSABLE),
        (NotAHistoryFile(HOST, "day.json", "is a web page"), Outcome.UNUSABLE),
        (NoHistory(HOST, DAY), Outcome.ANSWERED),
        (VendorRefused(HOST, DAY, 401), Outcome.ANSWERED),
        (VendorError(HOST, DAY, "not subscribed"), Outcome.ANSWERED),
        (VendorForbids(HOST, DAY, None), Outcome.ANSWERED),
        (SourceForbids(HOST, None), Outcome.ANSWERED),
        (ErrorInsteadOfFile(HOST, "day.json", "not subscribed"), Outcome.ANSWERED),
        (NoSignedUrl(HOST, "a web page"), Outcome.UNUSABLE),
        (VendorKeyMissing(HOST), None),
        (DayNotOver(HOST, "minute bars"), Outcome.ANSWERED),
        (FlatFileNotYet(HOST, DAY.trading_day, 403), Outcome.ANSWERED),
        (FlatFileRefused(HOST, DAY.trading_day, 403), Outcome.ANSWERED),
        (NotEntitled(HOST, "minute bars", "upgrade"), Outcome.ANSWERED),
        (SnapshotsRejected("AAPL", "updated: too old"), Outcome.UNUSABLE),
        (MalformedAnswer(HOST, "minute bars", "no JSON"), Outcome.UNUSABLE),
        (RateLimited(HOST), None),
        (MassiveKeyMissing(HOST), None),
        (FileKeysMissing(HOST), None),
        (LeaseTaken("NQ_NDX", "gex_zero"), None),
        (SourceUnavailable(HOST, "sent nothing"), Outcome.FAILED),
        (SourceUnreachable(HOST, "could not be reached"), Outcome.FAILED),
        (SourceBusy(HOST, 503), Outcome.FAILED),
        (FileIncomplete(HOST, 1, 2), Outcome.FAILED),
        (SourceRefused("the URL is not allowed"), None),
        (staging_error(Path("day.json"), OSError(errno.ENOSPC, "full")), None),
        (staging_error(Path("day.json"), OSError(errno.EIO, "broken")), None),
        (BrokerUnavailable("publish"), None),
        (StreamFull("JOBS"), None),
        (ValueError("a mistake of ours"), None),
        (asyncio.CancelledError(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_only_what_the_source_did_is_held_against_it(
    error: BaseException | None, outcome: Outcome | None
) -> None:
    assert outcome_of(error) is outcome


@pytest.mark.parametrize(
    ("outcome", "successes", "response_s", "delivered"),
    [
        (Outcome.DELIVERED, 1, 0.5, True),
        (Outcome.ANSWERED, 1, 0.5, False),
        (Outcome.UNUSABLE, 0, 0.5, False),
        (Outcome.FAILED, 0, None, False),
    ],
)
def test_every_outcome_is_a_request_and_some_are_a_success(
    outcome: Outcome, successes: int, response_s: float | None, delivered: bool
) -> None:
    record = count_request(NEW, outcome, NOON, 0.5, None)
    assert (record.requests, record.successes, record.mean_response_s) == (1, successes, response_s)
    assert record.last_success_at == (NOON if delivered else None)


def test_the_mean_response_time_is_exponential() -> None:
    record = NEW
    for response_s in (1.0, 2.0, 0.0):
        record = count_request(record, Outcome.DELIVERED, NOON, response_s, None)
    assert record.mean_response_s == pytest.approx((1.0 * 0.8 + 2.0 * 0.2) * 0.8)


def test_the_last_error_stays_and_holds_no_secret() -> None:
    record = count_request(NEW, Outcome.FAILED, NOON, 1, f"{HOST}/day.json?sig=secret broke off")
    record = count_request(record, Outcome.DELIVERED, NOON + timedelta(hours=1), 1, None)
    assert record.last_error == f"{HOST}/day.json?[redacted] broke off"
    assert record.last_success_at == NOON + timedelta(hours=1)
