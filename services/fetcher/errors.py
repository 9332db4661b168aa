"""The errors of the fetcher.

    Terminal
    ├── SourceRefused       the URL, or where it redirects to, is not allowed or cannot be used
    ├── SignatureRejected   401, 403
    ├── SourceMissing       404, 410, no such local file
    ├── UnusableAnswer      another status, or an answer that is no file
    ├── FileTooLarge        over GEXLAKE_MAX_FILE_BYTES, as it comes or inflated
    └── NotAHistoryFile     empty, a web page, a broken gzip, or compressed otherwise than its name says
    Transient
    ├── SourceUnavailable   no connection, a timeout, a connection that broke
    │   └── SourceTooSlow       below the minimum speed, or not done by the deadline
    ├── SourceBusy          408, 425, 429, 5xx
    ├── FileIncomplete      fewer or more bytes than the source announced
    ├── StagingFailed       the disk refused to take the file
    │   └── StagingFull         it has no space: a NotNow, too, which costs no attempt
    └── SourceLeftAlone     a NotNow: the source has failed again and again, and was not asked

Messages name the host, never a query.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from shared.errors import Deferred, Terminal, Transient
from shared.process.disk_space import is_full
from shared.sources.record import SourceRecord


class SourceRefused(Terminal):
    """The URL is not one that the fetcher may or can ask.

    Args:
        reason: by which rule.
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


class SourceMissing(Terminal):
    """There is no such file at the source.

    Args:
        source: the host or the local path.
        answer: how the source says so.
    """

    field = "url"

    def __init__(self, source: str, answer: str) -> None:
        super().__init__(
            f"{source} has no such file ({answer}): check ticker, endpoint and day, then post the right URL"
        )


class UnusableAnswer(Terminal):
    """The source answered with something that asking again will not turn into a file."""

    def __init__(self, source: str, answer: str) -> None:
        super().__init__(f"{source} {answer}, which is no file: check the URL, then post it again")


class FileTooLarge(Terminal):
    """The file is larger than the fetcher may take, as it comes or inflated."""

    def __init__(self, source: str, size_bytes: int, max_bytes: int, *, inflated: bool = False) -> None:
        has = "inflates to" if inflated else "has"
        super().__init__(
            f"the file of {source} {has} at least {size_bytes} bytes and only {max_bytes} are allowed: "
            "raise GEXLAKE_MAX_FILE_BYTES if it is right"
        )


class NotAHistoryFile(Terminal):
    """The bytes are not what the file's name promises."""

    def __init__(self, source: str, name: str, what: str) -> None:
        super().__init__(f"what {source} sent as {name} {what}: open the URL by hand and look")


class SourceUnavailable(Transient):
    """The source could not be asked, or broke off."""

    def __init__(self, source: str, what: str) -> None:
        super().__init__(f"{source} {what}")


class SourceTooSlow(SourceUnavailable):
    """The source sends, but too slowly to wait for the end."""


class SourceBusy(Transient):
    """The source asks to come back later.

    Args:
        host: how to name it.
        status: of its answer.
        retry_after_s: in how many seconds, if it says so.
    """

    def __init__(self, host: str, status: int, retry_after_s: float | None = None) -> None:
        asked = "" if retry_after_s is None else f", and asks to wait {retry_after_s:.0f} s"
        super().__init__(f"{host} answered {status}{asked}, so it is busy or broken at the moment")
        self.retry_after_s = retry_after_s


class FileIncomplete(Transient):
    """The body has another size than the source announced, or announced nothing and breaks off."""

    def __init__(self, source: str, size_bytes: int, announced_bytes: int | None) -> None:
        of = "and broke off" if announced_bytes is None else f"of the {announced_bytes} that it announced"
        super().__init__(f"{source} sent {size_bytes} bytes {of}")


class CircuitOpenError(Deferred):
    """The source has failed again and again, and is not asked for a while.

    Args:
        record: what is known of it.
        now: the present moment (UTC).
        until: until when it is left alone, or until when the request that tries it is waited for.
        is_tried: which of the two; that request may end at any moment, so it is looked at again soon.
    """

    max_retry_delay_s = 15.0

    def __init__(self, record: SourceRecord, now: datetime, until: datetime, *, is_tried: bool) -> None:
        super().__init__(
            f"{record.base_url} has failed {record.failures_in_a_row} times in a row and "
            + ("is being tried by another fetch" if is_tried else f"is left alone until {until:%H:%M:%S} UTC")
            + ": the fetch is tried again then"
        )
        if not is_tried:
            self.retry_after_s = (until - now).total_seconds()


class StagingFailed(Transient):
    """The disk did not take the file.

    Args:
        path: where it was to go.
        cause: what the operating system said.
    """

    _what_then = "mend the folder"

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path} cannot be staged: {cause.strerror or cause}: {self._what_then}")


class StagingFull(StagingFailed, Deferred):
    """The disk has no space for the file."""

    _what_then = "free space on its disk; the fetch is tried again"


def not_staged(path: Path, cause: OSError) -> StagingFailed:
    """Return the error for what the disk did not take: ``StagingFull`` if it has no space."""
    return StagingFull(path, cause) if is_full(cause) else StagingFailed(path, cause)
