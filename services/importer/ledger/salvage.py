"""Read the ledger from a database in the quarantine, as far as it can be read.

EVENTS has the jobs of 30 days; the ledger had all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.ledger import table
from services.importer.ledger.rows import LedgerRow

_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {"memory_limit": "64MiB", "threads": 1}
_AT_ONCE: Final = 1000
_DONE: Final = "ledger-read"
"""Marks a folder of the quarantine whose ledger has been read, or cannot be."""

log = structlog.get_logger(__name__)


def salvage_ledger(lake: Lake) -> int:
    """Add the rows of quarantined ledgers that the ledger lacks, and return how many.

    Raises:
        StorageTrouble: they cannot be written.
    """
    added = 0
    for database in sorted(lake.paths.quarantine.glob(f"*/{lake.paths.database.name}"), reverse=True):
        marker = database.with_name(_DONE)
        if marker.exists():
            continue
        rows = _rows(database)
        added += sum(_add(lake, rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE))
        marker.touch()
    if added:
        log.info("ledger_salvaged", jobs=added)
    return added


def _rows(database: Path) -> list[LedgerRow]:
    try:
        with duckdb.connect(str(database), read_only=True, config=_SETTINGS) as connection:
            return table.read_all(connection)
    except duckdb.Error as error:
        log.warning("ledger_unreadable", database=str(database), error=str(error).splitlines()[0])
        return []


def _add(lake: Lake, rows: list[LedgerRow]) -> int:
    with lake.writing() as connection:
        known = table.read(connection, [row.id for row in rows])
        missing = [row for row in rows if row.id not in known]
        if missing:
            with transaction(connection):
                table.write(connection, missing)
    return len(missing)
