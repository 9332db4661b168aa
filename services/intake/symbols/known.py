"""The symbols as intake knows them: followed in the bucket SYMBOLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from gexlake.api.chronox.symbols import RegisteredSymbol, SymbolStatus
from services.intake.errors import NotReady
from services.intake.symbols.owners import Owners
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow

log = structlog.get_logger(__name__)


class SymbolRevision(NamedTuple):
    """A symbol and its revision in the bucket."""

    symbol: RegisteredSymbol
    revision: int


class KnownSymbols:
    """The newest revision of every symbol, and the leases of those that drive runs; kept in memory only.

    Args:
        owners: gets each revision of an owner's key.
    """

    def __init__(self, owners: Owners | None = None) -> None:
        self.owners = owners or Owners()
        self.on_change: Callable[[], object] | None = None
        """Called after every change."""
        self._symbols: dict[str, SymbolRevision] = {}
        self._revisions: dict[str, int] = {}
        """By key of the bucket, also of deleted ones."""
        self._position = 0
        self._is_read = False

    @property
    def all(self) -> list[SymbolRevision]:
        """All symbols, in alphabetical order."""
        return sorted(self._symbols.values(), key=lambda found: found.symbol.symbol)

    @property
    def is_read(self) -> bool:
        """Whether the bucket was read to its end."""
        return self._is_read

    @property
    def unfinished(self) -> Iterator[SymbolRevision]:
        """Those with a run, or with the status of one, in no order."""
        running = SymbolStatus.RUNNING
        return (
            found
            for found in tuple(self._symbols.values())
            if found.symbol.run is not None or found.symbol.status is running
        )

    def get(self, symbol: str) -> SymbolRevision | None:
        """Return one symbol."""
        return self._symbols.get(subjects.symbol_key(symbol))

    def require_read(self) -> None:
        """Refuse while symbols may be missing.

        Raises:
            NotReady: the bucket has not been read to its end.
        """
        if not self._is_read:
            raise NotReady("rebuilding", "intake has not yet read from the broker which symbols there are")

    async def follow(self, bus: Bus) -> None:
        """Take in the bucket, from its first revision to those that come, forever."""
        async for message in follow(bus, subjects.bucket_stream(subjects.SYMBOLS), subjects.ALL_SYMBOLS):
            self.take(message)

    def take(self, message: Followed) -> None:
        """Take in one message of the bucket."""
        if message.data is None:
            self._is_read = True
            return
        if message.sequence <= self._position:  # the bucket was created again
            self._symbols.clear()
            self._revisions.clear()
            self.owners.clear()
        self._position = message.sequence
        if (owner := subjects.run_owner_in(message.subject)) is not None:
            self.owners.take(owner, message.sequence, is_deleted=not message.data)
            return
        key = message.subject.removeprefix(subjects.bucket_prefix(subjects.SYMBOLS))
        try:
            symbol = RegisteredSymbol.model_validate_json(message.data) if message.data else None
        except ValidationError as error:
            log.warning("symbol_unreadable", subject=message.subject, problems=error.error_count())
            return
        self.put(key, symbol, message.sequence)

    def put(self, key: str, symbol: RegisteredSymbol | None, revision: int) -> None:
        """Take in a revision of a symbol, None if it is deleted, unless a later one is known."""
        if revision <= self._revisions.get(key, 0):
            return
        self._revisions[key] = revision
        if symbol is None:
            self._symbols.pop(key, None)
        else:
            self._symbols[key] = SymbolRevision(symbol, revision)
        if self.on_change is not None:
            self.on_change()
