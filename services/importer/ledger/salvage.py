"""Read ledger and requests from a database in the quarantine, as far as they can be read.

EVENTS has the jobs of 30 days; the tables had older ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.ledger.requests import REQUESTS
from services.importer.ledger.row_table import R, RowTable
from services.importer.ledger.table import LEDGER

_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {"memory_limit": "64MiB", "threads": 1}
_AT_ONCE: Final = 1000
_DONE: Final = "ledger-read"
"""Marks a folder of the quarantine whose rows have been read, or cannot be."""

log = structlog.get_logger(__name__)


def salvage_ledger(lake: Lake) -> int:
    """Add the rows of quarantined databases that ledger and requests lack, and return how many.

    Raises:
        StorageTrouble: they cannot be written.
    """
    added = 0
    for database in sorted(lake.paths.quarantine.glob(f"*/{lake.paths.database.name}"), reverse=True):
        marker = database.with_name(_DONE)
        if marker.exists():
            continue
        added += _salvage(lake, database, LEDGER) + _salvage(lake, database, REQUESTS)
        marker.touch()
    if added:
        log.info("ledger_salvaged", rows=added)
    return added


def _salvage(lake: Lake, database: Path, table: RowTable[R]) -> int:
    rows = _rows(database, table)
    return sum(_add(lake, table, rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE))


def _rows(database: Path, table: RowTable[R]) -> list[R]:
    try:
        with duckdb.connect(str(database), read_only=True, config=_SETTINGS) as connection:
            return table.read_all(connection)
    except duckdb.Error as error:
        problem = str(error).splitlines()[0]
        log.warning("ledger_unreadable", database=str(database), table=table.name, error=problem)
        return []


def _add(lake: Lake, table: RowTable[R], rows: list[R]) -> int:
    with lake.writing() as connection:
        known = table.read(connection, [table.key_of(row) for row in rows])
        missing = [row for row in rows if table.key_of(row) not in known]
        if missing:
            with transaction(connection):
                table.write(connection, missing, held=())
    return len(missing)
