"""The symbols as intake knows them, and the leases of those that drive their runs."""

from __future__ import annotations

from collections.abc import Iterator

from gexlake.api.chronox.symbols import SymbolStatus
from services.intake.errors import NotReady
from services.intake.symbols.owners import Owners
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.symbol_registry import SymbolRegistry, SymbolRevision


class KnownSymbols(SymbolRegistry):
    """The registered symbols, and the leases of those that drive runs.

    Args:
        owners: gets each revision of an owner's key.
    """

    def __init__(self, owners: Owners | None = None) -> None:
        super().__init__()
        self.owners = owners or Owners()

    @property
    def unfinished(self) -> Iterator[SymbolRevision]:
        """Those with a run, or with the status of one, in no order."""
        running = SymbolStatus.RUNNING
        return (
            found
            for found in tuple(self._symbols.values())
            if found.symbol.run is not None or found.symbol.status is running
        )

    def require_read(self) -> None:
        """Refuse while symbols may be missing.

        Raises:
            NotReady: the bucket has not been read to its end.
        """
        if not self.is_read:
            raise NotReady("rebuilding", "intake has not yet read from the broker which symbols there are")

    def take_lease(self, message: Followed) -> None:
        """Take in a revision of an owner's key."""
        if (owner := subjects.run_owner_in(message.subject)) is not None:
            self.owners.take(owner, message.sequence, is_deleted=not message.data)

    def clear(self) -> None:
        """Forget everything: the bucket was created again."""
        super().clear()
        self.owners.clear()
