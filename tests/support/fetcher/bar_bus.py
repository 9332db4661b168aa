"""A publisher of CHRONOX without a broker."""

from __future__ import annotations

from shared.bus import subjects
from shared.bus.feeds.bar_messages import Bars, BarsMessage, decode
from shared.bus.feeds.live_messages import EncodedMessage
from shared.bus.last_messages import Stored
from shared.massive.bars import Bar
from tests.support.values import NOON


class BarBus:
    """Keeps what is published; ``error`` is raised instead."""

    def __init__(self) -> None:
        self.messages: list[EncodedMessage] = []
        self.error: Exception | None = None

    async def publish(self, message: EncodedMessage) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)

    @property
    def payloads(self) -> list[Bars]:
        found = [decode(message.subject, message.data) for message in self.messages]
        return [each.payload for each in found if isinstance(each, BarsMessage)]

    @property
    def bars(self) -> list[tuple[str, list[Bar]]]:
        subject_of = [message.subject for message in self.messages]
        return [(subject, each.bars) for subject, each in zip(subject_of, self.payloads, strict=True)]

    async def last(self) -> dict[str, Stored]:
        """Return the last streamed messages by subject, as ``last_messages`` does."""
        return {
            message.subject: Stored(number, NOON, message.data)
            for number, message in enumerate(self.messages, 1)
            if message.subject.startswith(subjects.ALL_BARS.removesuffix(">") + "stream.")
        }
