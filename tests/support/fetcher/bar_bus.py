"""A publisher of CHRONOX without a broker."""

from __future__ import annotations

from gexlake.api.chronox.symbols import Phase
from shared.bus import subjects
from shared.bus.feeds.bar_messages import Bars, BarsMessage, decode
from shared.bus.feeds.live_messages import EncodedMessage
from shared.massive.bars import Bar


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

    async def last(self, symbols: frozenset[str]) -> dict[str, bytes]:
        """Return the last streamed messages by subject, as ``last_streamed`` does."""
        return {
            message.subject: message.data
            for message in self.messages
            if message.subject in {subjects.chronox(Phase.STREAM, symbol) for symbol in symbols}
        }
