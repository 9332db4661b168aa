"""The errors of gexlake.

    GexlakeError
    ├── Terminal            a retry cannot succeed: the message becomes a dead letter
    │   ├── MalformedMessage    the bytes are not a message that this version knows
    │   ├── UrlNotDecrypted     no key of the deployment decrypts the URL (in sources.url_encryption)
    │   └── GaveUp              a stage was started too often without an outcome (in bus.consumer.attempts)
    ├── Transient           a retry may succeed: the message is redelivered after a delay
    │   ├── BrokerUnavailable   no answer from NATS in time
    │   ├── SequenceChanged     a message has been stored since the one that the publisher had read
    │   └── Deferred            no fault of the job: the message is redelivered, and no attempt is counted
    │       ├── StreamFull          a stream refused a message because of its byte cap
    │       └── UrlKeysUnusable     the keys of signed URLs cannot be read (in sources.url_encryption)
    ├── CannotStart         a service cannot run: it prints one line and exits
    │   └── BrokerGone          the connection was closed for good (in process.runtime)
    └── StoppedEarly        a service was stopped before it was connected

Services derive their own errors from Terminal and Transient. ``shared.bus.consumer.execution`` is the only
place that turns the type into a decision.
"""

from __future__ import annotations


class GexlakeError(Exception):
    """Base of all errors that gexlake raises; ``str()`` is a message for the user."""

    field: str | None = None
    """The field of the input that is wrong, if there is one."""


class Terminal(GexlakeError):
    """A retry of the same work cannot succeed."""

    is_refusal: bool = False
    """Whether the source says that it does not give this data, and will not give it later."""


class Transient(GexlakeError):
    """A later retry of the same work may succeed."""

    retry_after_s: float | None = None
    """Seconds until the next attempt, if known; otherwise the delay grows with each attempt."""


class MalformedMessage(Terminal):
    """A message cannot be read.

    Args:
        subject: the subject of the message.
        reason: what is wrong with it.
    """

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"the message on {subject} cannot be read: {reason}")


class BrokerUnavailable(Transient):
    """NATS gave no answer in time.

    Args:
        doing: the operation, as a phrase ("publish to gex.job.fetch…").
    """

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"the broker did not answer in time ({doing}); nothing is known to be stored, try again"
        )


class SequenceChanged(Transient):
    """A message is not stored because another one has been since the publisher read the last one.

    Args:
        doing: the operation, as a phrase.
    """

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"another message was stored before this one ({doing}); nothing is stored, try again"
        )


class Deferred(Transient):
    """The work cannot start now for a reason outside the job, so no attempt is counted."""

    max_retry_delay_s: float = 60.0
    """Upper bound of the delay before the next attempt, which grows with each deferral."""


class StreamFull(Deferred):
    """A stream is at its byte cap and refuses new messages.

    Args:
        stream: the name of the stream.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"the stream {stream} is full and refuses new messages; try again when it has drained"
        )


class CannotStart(GexlakeError):
    """A service cannot run as configured; the message is the one line that the operator sees."""


class StoppedEarly(GexlakeError):
    """The service was stopped while it was waiting for the broker."""
