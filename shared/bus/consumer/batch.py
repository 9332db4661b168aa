"""A batch of messages of one stream, and what its size may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from nats.aio.msg import Msg

from shared.errors import BrokerUnavailable, GexlakeError


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is complete: at the first of these.

    Args:
        messages: how many messages it may have.
        wait_s: how long to wait for more after its first message.
        size_bytes: how large its messages may be together; a batch may exceed it by one message.
    """

    messages: int = 500
    wait_s: float = 0.25
    size_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True)
class StreamFound:
    """A stream as it is found.

    Args:
        name: of the stream.
        created_at: when it was created (UTC); another time is another stream.
        last_sequence: of its last message; 0 if it never had one.
    """

    name: str
    created_at: datetime
    last_sequence: int


@dataclass(frozen=True)
class StreamMessage:
    """A message of a stream.

    Args:
        sequence: its number in the stream.
        content: the message.
    """

    sequence: int
    content: Msg

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.content.subject

    @property
    def data(self) -> bytes:
        """What was published."""
        return self.content.data


@dataclass(frozen=True)
class Batch:
    """Messages in the order of the stream, without gaps but for those that became dead letters.

    Args:
        stream: where they come from.
        messages: may be empty, if all have become dead letters.
        last_sequence: the position in the stream once the batch is stored.
    """

    stream: StreamFound
    messages: tuple[StreamMessage, ...]
    last_sequence: int

    def without(self, message: StreamMessage) -> Batch:
        """Return the batch without one of its messages; it ends at the same position."""
        return replace(self, messages=tuple(other for other in self.messages if other is not message))

    def before_first(self) -> Batch:
        """Return an empty batch that ends where this one begins."""
        return replace(self, messages=(), last_sequence=self.messages[0].sequence - 1)

    def halves(self) -> tuple[Batch, Batch]:
        """Return the batch in two parts, of which the first ends at its own last message."""
        middle = len(self.messages) // 2
        first, second = self.messages[:middle], self.messages[middle:]
        return (
            replace(self, messages=first, last_sequence=first[-1].sequence),
            replace(self, messages=second),
        )


class MessageFailed(GexlakeError):
    """One message of a batch cannot be stored, and the others can.

    Args:
        message: which.
        error: why.
    """

    def __init__(self, message: StreamMessage, error: Exception) -> None:
        super().__init__(str(error))
        self.message = message
        self.error = error


class OrderLost(BrokerUnavailable):
    """Messages are missing or come again, or the stored position is another one: it is asked for again.

    Args:
        stream: which.
        problem: what was found, as the end of a sentence.
    """

    def __init__(self, stream: str, problem: str) -> None:
        super().__init__(f"read {stream} in order: {problem}")
