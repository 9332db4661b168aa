"""The errors of gexlake.

    GexlakeError
    ├── Terminal            doing it again cannot help: the message becomes a dead letter
    │   ├── MalformedMessage    bytes on the bus that are no message of ours
    │   └── GaveUp              a stage was started too often and never ended (in shared.attempts)
    ├── Transient           doing it again later may help: the message comes back after a delay
    │   ├── BrokerUnavailable   no answer from NATS in time
    │   └── NotNow              no fault of the job: the message comes back, and no attempt is counted
    │       └── StreamFull          a stream refused a message because of its byte cap
    ├── CannotStart         a service that cannot run says why in one line and exits
    │   └── BrokerGone          the connection was closed for good (in shared.runtime)
    └── StoppedEarly        a service was told to stop before it was up

Every service derives its own errors from Terminal and Transient, beside its work. The consumer loop in
``shared.bus.consumer.worker`` is the only place that turns the type into a decision.
"""

from __future__ import annotations


class GexlakeError(Exception):
    """Base of all errors that gexlake raises on purpose; ``str()`` is fit for the person who reads it."""

    field: str | None = None
    """The field of the input that is wrong, where there is one."""


class Terminal(GexlakeError):
    """Doing the same work again cannot succeed."""


class Transient(GexlakeError):
    """Doing the same work again later may succeed."""

    retry_after_s: float | None = None
    """In how many seconds it should be tried again, where that is known; else after a growing pause."""


class MalformedMessage(Terminal):
    """A message that cannot be read.

    Args:
        subject: where it came from.
        reason: what is wrong with it.
    """

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"the message on {subject} cannot be read: {reason}")


class BrokerUnavailable(Transient):
    """NATS gave no answer in time.

    Args:
        doing: what was being done, as a phrase ("publish to gex.job.fetch…").
    """

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"the broker did not answer in time ({doing}); nothing is known to be stored, try again"
        )


class Deferred(Transient):
    """There is no room for the work now; the job has no part in that, so it costs no attempt."""

    max_retry_delay_s: float = 60.0
    """It is tried again after a growing pause, of this length at the most."""


class StreamFull(Deferred):
    """A stream is at its byte cap and refuses new messages.

    Args:
        stream: its name.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"the stream {stream} is full and refuses new messages; try again when it has drained"
        )


class CannotStart(GexlakeError):
    """A service cannot run as configured; its message is the one line that the operator sees."""


class StoppedEarly(GexlakeError):
    """The service was told to stop while it was still waiting for the broker."""
