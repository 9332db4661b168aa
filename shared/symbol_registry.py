"""The registered symbols, as the key-value bucket SYMBOLS has them: followed from its first revision on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from gexlake.api.chronox.symbols import RegisteredSymbol
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow

log = structlog.get_logger(__name__)


class SymbolRevision(NamedTuple):
    """A symbol and its revision in the bucket."""

    symbol: RegisteredSymbol
    revision: int


class SymbolRegistry:
    """The newest revision of every symbol; kept in memory only."""

    def __init__(self) -> None:
        self.on_change: Callable[[], object] | None = None
        """Called after every change, and when the bucket has been read to its end."""
        self._symbols: dict[str, SymbolRevision] = {}
        self._revisions: dict[str, int] = {}
        """By key of the bucket, also of deleted ones."""
        self._position = 0
        self.is_read = False
        """Whether the bucket has been read to its end; until then, symbols may be missing."""

    @property
    def all(self) -> list[SymbolRevision]:
        """All symbols, in alphabetical order."""
        return sorted(self._symbols.values(), key=lambda found: found.symbol.symbol)

    def get(self, symbol: str) -> SymbolRevision | None:
        """Return one symbol."""
        return self._symbols.get(subjects.symbol_key(symbol))

    async def follow(self, bus: Bus) -> None:
        """Take in the bucket, from its first revision to those that come, forever."""
        async for message in follow(bus, subjects.bucket_stream(subjects.SYMBOLS), subjects.ALL_SYMBOLS):
            self.take(message)

    def take(self, message: Followed) -> None:
        """Take in one message of the bucket."""
        if message.data is None:
            self.is_read = True
            self._changed()
            return
        if message.sequence <= self._position:  # the bucket was created again
            self.clear()
        self._position = message.sequence
        if not subjects.is_symbol_key(message.subject):
            self.take_lease(message)
            return
        key = message.subject.removeprefix(subjects.bucket_prefix(subjects.SYMBOLS))
        try:
            symbol = RegisteredSymbol.model_validate_json(message.data) if message.data else None
        except ValidationError as error:
            log.warning("symbol_unreadable", subject=message.subject, problems=error.error_count())
            return
        self.put(key, symbol, message.sequence)

    def take_lease(self, message: Followed) -> None:
        """Take in a revision of a key that is no symbol's; they are ignored here."""

    def clear(self) -> None:
        """Forget everything: the bucket was created again."""
        self._symbols.clear()
        self._revisions.clear()

    def put(self, key: str, symbol: RegisteredSymbol | None, revision: int) -> None:
        """Take in a revision of a symbol, None if it is deleted, unless a later one is known."""
        if revision <= self._revisions.get(key, 0):
            return
        self._revisions[key] = revision
        if symbol is None:
            self._symbols.pop(key, None)
        else:
            self._symbols[key] = SymbolRevision(symbol, revision)
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
