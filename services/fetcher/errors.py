"""The errors of the fetcher.

    Terminal
    ├── SourceRefused       the URL or its redirect is not allowed or cannot be used
    ├── SignatureRejected   401, 403
    ├── SourceMissing       404, 410, no such local file
    ├── UnusableAnswer      another status, or an response that is not a file
    ├── PostedFileGone      the file that the client posted inline is no longer kept
    ├── FileTooLarge        over GEXLAKE_MAX_FILE_BYTES, as received or inflated
    ├── ErrorInsteadOfFile  200, and the vendor's error as a document
    ├── NotAHistoryFile     empty, a web page, or a corrupt gzip
    └── SourceGone          unreachable or failing for longer than GEXLAKE_SOURCE_OUTAGE_LIMIT_H
    Transient
    ├── SourceUnavailable   no connection, a timeout, a broken connection
    │   ├── SourceUnreachable   no address, no connection: also Deferred, which uses no attempt
    │   └── SourceTooSlow       below the minimum speed, or not complete by the deadline
    ├── SourceBusy          408, 425, 429, 5xx
    ├── SourceForbids       403 on a path of the vendor's /hist: throttled, or without access
    ├── FileIncomplete      a different number of bytes than the source announced
    ├── StagingFailed       the file could not be written
    │   └── StagingFull         the disk is full: also Deferred, which uses no attempt
    ├── CircuitOpenError    Deferred: the source has failed repeatedly and was not requested
    └── SourceDeactivated   Deferred: a client has deactivated the source

Messages name the host and never contain a query.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from shared.errors import Deferred, Terminal, Transient
from shared.process.disk_space import is_full
from shared.sources.record import SourceRecord


class SourceRefused(Terminal):
    """The fetcher may not or cannot request the URL.

    Args:
        reason: the rule that it breaks.
    """

    field = "url"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the file is not fetched: {reason}")


class SignatureRejected(Terminal):
    """The source does not accept the URL's signature."""

    field = "url"

    def __init__(self, host: str, status: int) -> None:
        super().__init__(
            f"{host} answered {status}: the signature has expired or is not valid: post a fresh URL"
        )
        self.status = status


_CHECK_THE_URL: Final = "check ticker, endpoint and day, then post the right URL"


class SourceMissing(Terminal):
    """The source does not have the file.

    Args:
        source: the host or the local path.
        answer: the response that means this, such as a status.
        remedy: what to do.
    """

    field = "url"

    def __init__(self, source: str, answer: str, remedy: str = _CHECK_THE_URL) -> None:
        super().__init__(f"{source} has no such file ({answer}): {remedy}")


class PostedFileGone(Terminal):
    """The file that the client posted inline is no longer kept, or is not the one of the command.

    Args:
        sequence: where it was in BODIES.
    """

    field = "raw_body"

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"the file that was posted as raw_body is no longer message {sequence} of BODIES: post it again"
        )


class UnusableAnswer(Terminal):
    """The source sent a response that a retry will not turn into a file."""

    def __init__(self, source: str, answer: str) -> None:
        super().__init__(f"{source} {answer}, which is no file: check the URL, then post it again")


class FileTooLarge(Terminal):
    """The file exceeds the maximum size, as received or inflated."""

    def __init__(self, source: str, size_bytes: int, max_bytes: int, *, inflated: bool = False) -> None:
        has = "inflates to" if inflated else "has"
        super().__init__(
            f"the file of {source} {has} at least {size_bytes} bytes and only {max_bytes} are allowed: "
            "raise GEXLAKE_MAX_FILE_BYTES if it is right"
        )


class ErrorInsteadOfFile(Terminal):
    """The source sent the vendor's error in place of a file, with status 200.

    Args:
        source: the source, for the message.
        name: the file's name.
        text: the error, without secrets.
    """

    def __init__(self, source: str, name: str, text: str) -> None:
        super().__init__(
            f"{source} sent an error in place of {name}: {text!r}: see what is subscribed to, "
            "and check ticker, endpoint and day"
        )


class NotAHistoryFile(Terminal):
    """The content is not that of a history file."""

    def __init__(self, source: str, name: str, what: str) -> None:
        super().__init__(f"what {source} sent as {name} {what}: open the URL by hand and look")


class SourceUnavailable(Transient):
    """The source could not be reached, or the connection broke."""

    def __init__(self, source: str, what: str) -> None:
        super().__init__(f"{source} {what}")


class SourceUnreachable(SourceUnavailable, Deferred):
    """No connection to the source can be made: its name, the network or its server is down."""

    failing_since: datetime | None = None
    """Since when no request to the source has succeeded (UTC), once that is recorded."""


class SourceTooSlow(SourceUnavailable):
    """The source sends too slowly."""


class SourceBusy(Transient):
    """The source cannot serve the request now.

    Args:
        host: the source, for the message.
        status: the status of its response.
        retry_after_s: its ``Retry-After`` in seconds, if it sent one.
    """

    def __init__(self, host: str, status: int, retry_after_s: float | None = None) -> None:
        wait = "" if retry_after_s is None else f" with a Retry-After of {retry_after_s:.0f} s"
        super().__init__(f"{host} answered {status}{wait}: it is busy or failing at the moment")
        self.retry_after_s = retry_after_s


class SourceForbids(Transient):
    """The source answers 403 on a path of the vendor's /hist.

    That is how the vendor throttles, too, so it is believed only after the last attempt.

    Args:
        host: the source, for the message.
        text: the error in the response, without secrets; None if it has none.
    """

    def __init__(self, host: str, text: str | None) -> None:
        said = f" ({text!r})" if text else ""
        super().__init__(
            f"{host} answered 403{said}: it throttles requests, or does not give access to this file"
        )


class FileIncomplete(Transient):
    """The body has another size than announced, or no announced size and an incomplete end."""

    def __init__(self, source: str, size_bytes: int, announced_bytes: int | None) -> None:
        of = "and broke off" if announced_bytes is None else f"of the {announced_bytes} that it announced"
        super().__init__(f"{source} sent {size_bytes} bytes {of}")


class CircuitOpenError(Deferred):
    """The source has failed repeatedly; its circuit is open.

    Args:
        record: the health record of the source.
        now: the current time (UTC).
        until: when the circuit becomes half-open, or when the running probe times out.
        is_tried: whether a probe is running; it may end at any moment, so the retry comes soon.
    """

    max_retry_delay_s = 15.0

    def __init__(self, record: SourceRecord, now: datetime, until: datetime, *, is_tried: bool) -> None:
        super().__init__(
            f"{record.base_url} has failed {record.failures_in_a_row} times in a row and "
            + (
                "is being tried by another fetch"
                if is_tried
                else f"its circuit is open until {until:%H:%M:%S} UTC"
            )
            + ": the fetch is retried then"
        )
        self.failing_since = record.failing_since
        if not is_tried:
            self.retry_after_s = (until - now).total_seconds()


class SourceDeactivated(Deferred):
    """A client has deactivated the source; its jobs wait until it is activated, however long that takes.

    Args:
        record: the record of the source.
        since: when it was deactivated (UTC).
    """

    max_retry_delay_s = 300.0

    def __init__(self, record: SourceRecord, since: datetime) -> None:
        super().__init__(
            f"{record.base_url} was deactivated by {record.deactivated_by or 'a client'} on "
            f"{since:%Y-%m-%d at %H:%M} UTC: the fetch waits until it is activated "
            f"('gexlake sources activate {record.base_url}', or PATCH /api/v1/sources/{record.source_id})"
        )


class SourceGone(Terminal):
    """The source has failed for longer than a job waits for it.

    Args:
        last: the newest failure.
        since: when the first one was (UTC).
    """

    def __init__(self, last: SourceUnreachable | CircuitOpenError, since: datetime) -> None:
        super().__init__(
            f"{last}; it has failed since {since:%Y-%m-%d %H:%M} UTC, longer than jobs wait "
            "(GEXLAKE_SOURCE_OUTAGE_LIMIT_H): replay the job when the source works"
        )


class StagingFailed(Transient):
    """The file could not be written to the disk.

    Args:
        path: the file.
        cause: the error of the operating system.
    """

    _what_then = "mend the folder"

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path} cannot be staged: {cause.strerror or cause}: {self._what_then}")


class StagingFull(StagingFailed, Deferred):
    """The disk has no space for the file."""

    _what_then = "free space on its disk; the fetch is tried again"


def staging_error(path: Path, cause: OSError) -> StagingFailed:
    """Return the error for a failed write: ``StagingFull`` if the disk is full."""
    return StagingFull(path, cause) if is_full(cause) else StagingFailed(path, cause)
