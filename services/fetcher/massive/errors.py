"""The errors of requests to Massive.

    Terminal
    ├── MassiveKeyMissing   POLYGON_API_KEY is not set
    ├── FileKeysMissing     MASSIVE_S3_ACCESS_KEY or MASSIVE_S3_SECRET_KEY is not set
    ├── OtherMassive        a SourceRefused: the job names another address than this fetcher uses
    ├── MassiveKeyRefused   401, or authentication on the websocket failed
    ├── NotEntitled         403: the plan does not include the data, or no history that old
    ├── SymbolUnknown       404
    ├── NoSnapshots         200, and none of the symbols is among its snapshots
    ├── FlatFileRefused     403 or 404 for a flat file of an earlier day
    ├── RequestRefused      400 and other statuses that a retry will not change
    └── MalformedAnswer     200, but not what the vendor documents
    Transient
    ├── SnapshotsRejected   no snapshot of the job is correct, or within the limits of age and spread
    ├── TooManyConnections  of the stream: the account has another one
    └── NotSubscribed       of the stream: the vendor answered otherwise
    Deferred: no fault of the job
    ├── DayNotOver          403: the plan has the data after the day only
    ├── RateLimited         429, or no free slot of the plan's calls a minute
    └── FlatFileNotYet      403 or 404 for a recent day: published around 11:00 in New York on the next day

No connection, 408, 425 and 5xx are the errors of any source: see ``services.fetcher.errors``. No message
contains the key.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from services.fetcher.errors import SourceRefused
from shared.errors import Deferred, Terminal, Transient

KEY_SETTING: Final = "POLYGON_API_KEY"
_THEN: Final = "restart the fetcher and replay the job"


class MassiveKeyMissing(Terminal):
    """The API key is not set."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is asked with a key, and there is none: set {KEY_SETTING}, {_THEN}")


class FileKeysMissing(Terminal):
    """The keys of the flat files are not set."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} gives flat files to those with keys only, and there are none: set MASSIVE_S3_ACCESS_KEY "
            f"and MASSIVE_S3_SECRET_KEY, {_THEN}"
        )


class OtherMassive(SourceRefused):
    """The job's URL is of none of the addresses that this fetcher uses; no key is sent.

    Args:
        base_url: of the job.
        api: the address of REST that this fetcher uses.
        files: that of the flat files.
    """

    def __init__(self, base_url: str, api: str, files: str) -> None:
        super().__init__(
            f"{base_url} is no URL of bars or snapshots at {api} or {files}: give intake and fetcher "
            "the same GEXLAKE_MASSIVE_API and GEXLAKE_MASSIVE_FILES, then ask for it again"
        )


class MassiveKeyRefused(Terminal):
    """The vendor does not accept the key."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} does not accept the key in {KEY_SETTING} (HTTP 401): set the right one, {_THEN}"
        )


class NotEntitled(Terminal):
    """The plan does not include the data.

    Args:
        host: the API, for the message.
        what: the requested data.
        text: the vendor's words, without secrets.
    """

    is_refusal = True

    def __init__(self, host: str, what: str, text: str) -> None:
        super().__init__(
            f"the plan of the key in {KEY_SETTING} does not include {what} ({host}: HTTP 403: {text!r}): "
            "ask for a later start, or change the plan"
        )


class SymbolUnknown(Terminal):
    """The vendor does not know the symbol."""

    field = "symbol"
    is_refusal = True

    def __init__(self, host: str, symbol: str) -> None:
        super().__init__(
            f"{host} does not know the symbol {symbol} (HTTP 404): write it as the vendor does, case included"
        )


class NoSnapshots(Terminal):
    """The vendor has no snapshot of any of the symbols."""

    field = "symbol"
    is_refusal = True

    def __init__(self, host: str, what: str) -> None:
        super().__init__(f"{host} has no snapshot of {what}: write symbols as the vendor does, case included")


class FlatFileRefused(Terminal):
    """There is no flat file of a day, or not for this key."""

    def __init__(self, host: str, day: date, status: int) -> None:
        super().__init__(
            f"{host} refuses the flat file of {day} (HTTP {status}): the day had no trading, the plan "
            "does not include it, or the keys in MASSIVE_S3_ACCESS_KEY and MASSIVE_S3_SECRET_KEY are wrong; "
            "it does not say which"
        )


class RequestRefused(Terminal):
    """The vendor refuses the request, and would refuse a retry."""

    is_refusal = True

    def __init__(self, host: str, what: str, status: int, text: str) -> None:
        super().__init__(f"{host} refused the request for {what} (HTTP {status}: {text!r}): check its dates")


class MalformedAnswer(Terminal):
    """The vendor's response is not what it documents.

    Args:
        host: the API, for the message.
        what: the requested data.
        problem: what is wrong, naming the field.
    """

    def __init__(self, host: str, what: str, problem: str) -> None:
        super().__init__(
            f"{host} answered the request for {what} with what cannot be read: {problem}: "
            "see the vendor's change log"
        )


class SnapshotsRejected(Transient):
    """No snapshot of the job is stored; the next one may be right.

    Args:
        what: whose.
        reason: what is wrong with one of them, naming the field.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"the snapshot of {what} is rejected: {reason}")


class DayNotOver(Deferred):
    """The plan has the data of a day only when it is over."""

    max_retry_delay_s = 3600.0

    def __init__(self, host: str, what: str) -> None:
        super().__init__(
            f"{host} has {what} only after the end of the day, with this plan (HTTP 403): tried again later"
        )


class RateLimited(Deferred):
    """The calls a minute of the plan are used up.

    Args:
        what: who refused, as the beginning of the message.
        retry_after_s: seconds until the next attempt; None for a delay that grows with each one.
        max_retry_delay_s: up to which it grows.
    """

    def __init__(
        self, what: str, retry_after_s: float | None = None, max_retry_delay_s: float = 60.0
    ) -> None:
        when = "later" if retry_after_s is None else f"in {retry_after_s:.0f} s"
        super().__init__(
            f"{what}: the plan's calls a minute are used up (POLYGON_CALLS_PER_MINUTE): tried again {when}"
        )
        self.max_retry_delay_s = max_retry_delay_s
        self.retry_after_s = retry_after_s


class FlatFileNotYet(Deferred):
    """The flat file of a recent day is not published yet."""

    max_retry_delay_s = 1800.0

    def __init__(self, host: str, day: date, status: int) -> None:
        super().__init__(
            f"{host} has no flat file of {day} yet (HTTP {status}): it is published around 11:00 "
            "in New York on the day after"
        )


class TooManyConnections(Transient):
    """Another connection of the account is open; the vendor allows one."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} counts too many connections of the account: end the other one")


class NotSubscribed(Transient):
    """The vendor did not accept a connection to its stream."""

    def __init__(self, host: str, status: str, message: str) -> None:
        super().__init__(f"{host} answered {status!r} ({message!r}) in place of a subscription")
