"""Bring the lake's schema up to that of this version."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb
import structlog

from services.importer.lake.statements import transaction
from shared.errors import CannotStart

log = structlog.get_logger(__name__)


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Apply the migrations that the lake does not have, in their order.

    Raises:
        CannotStart: a newer version has written the lake.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name VARCHAR NOT NULL, applied_at TIMESTAMPTZ)"
    )
    applied = {name for (name,) in connection.execute("SELECT name FROM schema_migrations").fetchall()}
    known = _migrations()
    unknown = applied - {path.name for path in known}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise CannotStart(f"the lake was written by a newer gexlake, which applied {names}: upgrade this one")
    for path in known:
        if path.name not in applied:
            with transaction(connection):
                connection.execute(path.read_text())
                connection.execute("INSERT INTO schema_migrations VALUES (?, now())", [path.name])
            log.info("migration_applied", name=path.name)


def _migrations() -> list[Path]:
    folder = Path(str(resources.files("services.importer.lake.schema.migrations")))
    return sorted(folder.glob("*.sql"))
