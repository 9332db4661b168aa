"""Symbols in the key-value bucket SYMBOLS: registered, changed and deleted by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import ValidationError

from gexlake.api.chronox.symbols import (
    EndedRun,
    NewSymbol,
    Phase,
    RegisteredSymbol,
    RunOutcome,
    StatusChange,
    Strategy,
    SymbolStatus,
)
from services.intake.errors import Conflict, NotFound, PreconditionFailed, Unprocessable
from services.intake.state.broker_link import BrokerLink
from services.intake.symbols.known import KnownSymbols
from shared.bus import subjects
from shared.bus.storage.bucket import Bucket
from shared.massive.symbols import check_symbol
from shared.symbol_registry import SymbolRevision

CHANGED_BY: Final = "Gex-Changed-By"
"""The header of a delete marker that says who deleted the symbol: the marker has no value."""
_TRIES: Final = 20
"""At each conflict another writer succeeded, so this many concurrent writers all succeed."""
_CLIENTS_FIELDS: Final = frozenset(NewSymbol.model_fields)

log = structlog.get_logger(__name__)


class SymbolStore:
    """Writes the registry; each change is on the broker's disk when it returns.

    Args:
        link: the connection.
        known: gets each change at once, before it comes back from the bucket.
        clock: the present moment.
    """

    def __init__(self, link: BrokerLink, known: KnownSymbols, clock: Callable[[], datetime]) -> None:
        self._link = link
        self._known = known
        self._clock = clock

    async def register(self, new: NewSymbol, by: str) -> tuple[SymbolRevision, bool]:
        """Register a symbol, and return whether it is new: the same one again changes nothing.

        Args:
            new: the symbol.
            by: who registers it.

        Raises:
            Unprocessable: it is not written as the vendor writes symbols.
            Conflict: it is registered with other fields.
            BrokerUnavailable: no ack in time.
        """
        symbol = _checked(new.symbol)
        status = SymbolStatus.IDLE if new.enabled else SymbolStatus.DISABLED
        for _ in range(_TRIES):
            found, revision = await self._read(symbol)
            if found is not None:
                if _clients(found) != _clients(new):
                    raise Conflict(
                        "symbol",
                        "exists",
                        f"symbol: {symbol} is registered with other fields: change it by PATCH",
                    )
                return self._keep(found, revision), False
            now = self._clock()
            registered = RegisteredSymbol(
                **new.model_dump(), status=status, created_at=now, updated_at=now, changed_by=by
            )
            written = await self._write(registered, revision)
            if written is not None:
                return written, True
        raise _always_changed(symbol)

    async def change(
        self, symbol: str, changes: dict[str, Any], expected: int | None, by: str
    ) -> SymbolRevision:
        """Change fields of a symbol.

        Args:
            symbol: which.
            changes: the new values by field. ``enabled`` and the status ``disabled`` go together.
            expected: the revision that is changed; None for whichever is the newest.
            by: who changes it.

        Raises:
            NotFound: there is no such symbol.
            PreconditionFailed: it has another revision.
            BrokerUnavailable: no ack in time.
        """
        for _ in range(_TRIES):
            found, revision = await self._read_expected(symbol, expected)
            wanted = {**changes, **_status_with(found, changes)}
            wanted |= ended_by(found, wanted, self._clock())
            if all(getattr(found, name) == value for name, value in wanted.items()):
                return self._keep(found, revision)
            at = max(self._clock(), found.created_at)
            changed = found.model_copy(update={**wanted, "updated_at": at, "changed_by": by})
            written = await self._write(changed, revision)
            if written is not None:
                return written
        raise _always_changed(symbol)

    async def set_status(
        self, symbol: str, change: StatusChange, expected: int | None, by: str
    ) -> SymbolRevision:
        """Set the status of a symbol; ``disabled`` also disables it, the others enable it.

        Raises:
            GexlakeError: as ``change``.
        """
        changes = {
            "status": change.status,
            "error_message": change.error_message,
            "enabled": change.status is not SymbolStatus.DISABLED,
        }
        return await self.change(symbol, changes, expected, by)

    async def update(
        self, symbol: str, changed: Callable[[RegisteredSymbol], RegisteredSymbol | None]
    ) -> SymbolRevision | None:
        """Write what ``changed`` makes of the newest revision of a symbol; for runs, not for clients.

        Args:
            symbol: which.
            changed: returns what to write, or None for nothing; called again if another was faster.

        Returns:
            what was written; None if ``changed`` returned None, or if there is no such symbol.

        Raises:
            PreconditionFailed: others change it all the time.
            BrokerUnavailable: no ack in time.
        """
        for _ in range(_TRIES):
            found, revision = await self._read(symbol)
            new = changed(found) if found is not None else None
            if new is None:
                return None
            at = max(self._clock(), new.created_at)
            written = await self._write(new.model_copy(update={"updated_at": at}), revision)
            if written is not None:
                return written
        raise _always_changed(symbol)

    async def delete(self, symbol: str, expected: int | None, by: str) -> None:
        """Delete a symbol; its bars stay.

        Raises:
            GexlakeError: as ``change``.
        """
        key = subjects.symbol_key(symbol)
        for _ in range(_TRIES):
            _, revision = await self._read_expected(symbol, expected)
            marker = await self._bucket.delete(key, revision, {CHANGED_BY: by})
            if marker is not None:
                self._known.put(key, None, marker)
                return
        raise _always_changed(symbol)

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self._link.require(), subjects.SYMBOLS)

    async def _read_expected(self, symbol: str, expected: int | None) -> tuple[RegisteredSymbol, int]:
        found, revision = await self._read(symbol)
        if found is None:
            raise no_symbol(symbol)
        if expected is not None and expected != revision:
            raise PreconditionFailed(f"{symbol} has revision {revision}, not {expected}: read it again")
        return found, revision

    async def _read(self, symbol: str) -> tuple[RegisteredSymbol | None, int]:
        value, revision = await self._bucket.read(subjects.symbol_key(symbol))
        if value is None:
            return None, revision
        try:
            return RegisteredSymbol.model_validate_json(value), revision
        except ValidationError:  # put there by hand
            log.warning("symbol_unreadable", symbol=symbol)
            return None, revision

    async def _write(self, symbol: RegisteredSymbol, revision: int) -> SymbolRevision | None:
        value = symbol.model_dump_json().encode()
        written = await self._bucket.write(subjects.symbol_key(symbol.symbol), value, revision)
        if written is None:
            return None
        return self._keep(symbol, written)

    def _keep(self, symbol: RegisteredSymbol, revision: int) -> SymbolRevision:
        self._known.put(subjects.symbol_key(symbol.symbol), symbol, revision)
        return SymbolRevision(symbol, revision)


def no_symbol(symbol: str) -> NotFound:
    """Return the refusal of a symbol that is not registered."""
    return NotFound(
        "symbol", "exists", f"the symbol {symbol[:40]!r} is not registered: write it as the vendor does"
    )


def _checked(text: str) -> str:
    try:
        return check_symbol(text)
    except ValueError as error:
        raise Unprocessable("symbol", "symbol", f"symbol: {error}") from error


def _clients(symbol: NewSymbol) -> dict[str, Any]:
    return symbol.model_dump(include=set(_CLIENTS_FIELDS))


def _status_with(found: RegisteredSymbol, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the status that follows from switching a symbol on or off."""
    if "status" in changes or changes.get("enabled") in {None, found.enabled}:
        return {}
    return {
        "status": SymbolStatus.IDLE if changes["enabled"] else SymbolStatus.DISABLED,
        "error_message": None,
    }


def ended_by(found: RegisteredSymbol, changes: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return what follows for the run and the stream of a symbol from a client's changes."""
    strategy: Strategy = changes.get("strategy", found.strategy)
    ended: dict[str, Any] = {}
    if not changes.get("enabled", found.enabled) or Phase.STREAM not in strategy.phases:
        ended["streaming"] = False
    if found.run is None or not ("status" in changes or strategy is not found.strategy):
        return ended
    last = EndedRun(
        run_id=found.run.run_id,
        outcome=RunOutcome.STOPPED,
        phase=found.run.phase,
        started_at=found.run.started_at,
        ended_at=max(at, found.run.started_at),
        records=found.run.records,
    )
    return {"status": SymbolStatus.IDLE, **changes, **ended, "run": None, "last_run": last}


def _always_changed(symbol: str) -> PreconditionFailed:
    return PreconditionFailed(f"{symbol} is changed by others all the time; try again")
