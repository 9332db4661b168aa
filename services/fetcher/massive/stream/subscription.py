"""Which symbols a connection follows, and the topics for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.fetcher.massive.stream.events import Frame

MAX_TOPICS: Final = 1000
"""Of more symbols, the bars of the whole market are received, and the others are dropped here."""
TOPICS_A_FRAME: Final = 500
_ALL: Final = "AM.*"


class Subscription:
    """The symbols of one connection: requested from the vendor, then followed."""

    def __init__(self) -> None:
        self._followed: frozenset[str] = frozenset()
        self._requested: frozenset[str] = frozenset()
        self._topics: set[str] = set()
        """What the vendor was asked for."""

    def request(self, symbols: frozenset[str]) -> list[str]:
        """Note what is requested, and return the topics that it takes."""
        self._requested = symbols
        added = sorted(_topics(symbols) - self._topics)
        self._topics |= set(added)
        return added

    def accepted(self) -> tuple[frozenset[str], frozenset[str]]:
        """Follow what was requested; return the symbols that are new, and those that are gone."""
        new, gone = self._requested - self._followed, self._followed - self._requested
        self._followed = self._requested
        return new, gone

    def take_obsolete(self) -> list[str]:
        """Return the topics that are not needed any more, and forget them."""
        obsolete = sorted(self._topics - _topics(self._followed))
        self._topics -= set(obsolete)
        return obsolete

    def only_followed(self, frame: Frame) -> Frame:
        """Drop the bars of other symbols."""
        frame.bars = [found for found in frame.bars if found.symbol in self._followed]
        return frame


def frames_of(topics: list[str]) -> Iterator[str]:
    """Yield topics as parameters of frames that are not too large."""
    for start in range(0, len(topics), TOPICS_A_FRAME):
        yield ",".join(topics[start : start + TOPICS_A_FRAME])


def _topics(symbols: frozenset[str]) -> set[str]:
    return {_ALL} if len(symbols) > MAX_TOPICS else {f"AM.{symbol}" for symbol in symbols}
