"""Read the changes of rules from a database in the quarantine, as far as they can be read.

The bucket has the last revisions of each rule; the table had all changes.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.mirrors.rules import ChangeRow, insert_changes

_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {"memory_limit": "64MiB", "threads": 1}
_DONE: Final = "rule-changes-read"
"""Marks a folder of the quarantine whose changes of rules have been read, or cannot be."""
_COLUMNS: Final = ", ".join(field.name for field in fields(ChangeRow))

log = structlog.get_logger(__name__)


def salvage_rule_changes(lake: Lake) -> None:
    """Add the changes of rules of quarantined databases that the table lacks.

    Raises:
        StorageTrouble: they cannot be written.
    """
    for database in lake.paths.quarantine.glob(f"*/{lake.paths.database.name}"):
        marker = database.with_name(_DONE)
        if marker.exists():
            continue
        rows = _rows(database)
        with lake.writing() as connection, transaction(connection):
            insert_changes(connection, rows)
        marker.touch()
        if rows:
            log.info("rule_changes_salvaged", changes=len(rows))


def _rows(database: Path) -> list[ChangeRow]:
    try:
        with duckdb.connect(str(database), read_only=True, config=_SETTINGS) as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM priority_rule_changes").fetchall()  # noqa: S608 (constants)
    except duckdb.CatalogException:  # of a version without the table
        return []
    except duckdb.Error as error:
        log.warning("rule_changes_unreadable", database=str(database), error=str(error).splitlines()[0])
        return []
    return [ChangeRow(*row) for row in found]
