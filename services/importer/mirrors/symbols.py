"""The table ``symbol_registry``, which follows the bucket SYMBOLS."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Final

import duckdb
import structlog
from pydantic import ValidationError

from gexlake.api.chronox.symbols import RegisteredSymbol
from services.importer.mirrors.columns import insert
from services.importer.mirrors.mirror import Write
from shared.bus import subjects
from shared.bus.follower import Followed

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SymbolRow:
    """A row of ``symbol_registry``; ``metadata`` is JSON."""

    symbol: str
    strategy: str
    status: str
    enabled: bool
    last_backfill: datetime | None
    last_snapshot: datetime | None
    last_stream: datetime | None
    error_message: str | None
    description: str
    metadata: str
    created_at: datetime
    updated_at: datetime
    changed_by: str | None
    revision: int


_COLUMNS: Final = {column.name for column in fields(SymbolRow)}


class SymbolTable:
    """The symbols of the bucket, and whether the table differs; it is small and written as a whole."""

    stream: Final = subjects.bucket_stream(subjects.SYMBOLS)
    subject: Final = subjects.ALL_SYMBOLS
    collect_s: Final = 1.0

    def __init__(self) -> None:
        self._rows: dict[str, SymbolRow] = {}
        """By key of the bucket."""
        self._position = 0
        self._has_changes = False

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols of the bucket, as far as they are taken."""
        return frozenset(row.symbol for row in self._rows.values())

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written."""
        return self._has_changes

    def take(self, message: Followed) -> None:
        """Take in one message of the bucket."""
        if message.sequence <= self._position:  # the bucket was created again
            self._rows.clear()
        self._position = message.sequence
        if not subjects.is_symbol_key(message.subject):
            return
        self._has_changes = True
        try:
            row = _row(message.data, message.sequence) if message.data else None
        except ValidationError as error:
            log.warning("symbol_unreadable", subject=message.subject, problems=error.error_count())
            return
        if row is None:
            self._rows.pop(message.subject, None)
        else:
            self._rows[message.subject] = row

    def caught_up(self) -> None:
        """Take in that the bucket was read to its end: the table has no other symbols."""
        self._has_changes = True

    def write_again(self) -> None:
        """Count all symbols as changed."""
        self._has_changes = True

    def take_changes(self) -> Write:
        """Return what writes the table as it is now."""
        self._has_changes = False
        return partial(_write, rows=list(self._rows.values()))


def _write(connection: duckdb.DuckDBPyConnection, rows: list[SymbolRow]) -> None:
    connection.execute("DELETE FROM symbol_registry")
    insert(connection, "symbol_registry", rows)


def _row(data: bytes, revision: int) -> SymbolRow:
    symbol = RegisteredSymbol.model_validate_json(data)
    metadata = json.dumps(symbol.metadata, ensure_ascii=False, separators=(",", ":"))
    columns = symbol.model_dump(include=_COLUMNS - {"metadata", "revision"})
    return SymbolRow(**columns, metadata=metadata, revision=revision)
