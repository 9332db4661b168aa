"""Read and write the ledger, the table ``gex_history_queue``: one row a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, fields, replace
from typing import Final
from uuid import UUID

import duckdb

from gexlake.api.jobs import Status
from services.importer.ledger.rows import LedgerRow

COLUMNS: Final = ", ".join(field.name for field in fields(LedgerRow))
_UNNESTED: Final = ", ".join("unnest(?)" for _ in fields(LedgerRow))


def read(connection: duckdb.DuckDBPyConnection, job_ids: Iterable[UUID | str]) -> dict[str, LedgerRow]:
    """Return the rows of some jobs by id."""
    wanted = [str(job_id) for job_id in job_ids]
    rows = _select(connection, "WHERE id IN (SELECT unnest(?))", [wanted])
    return {row.id: row for row in rows}


def read_all(connection: duckdb.DuckDBPyConnection) -> list[LedgerRow]:
    """Return the rows of all jobs."""
    return _select(connection, "", [])


def read_one(connection: duckdb.DuckDBPyConnection, job_id: UUID | str) -> LedgerRow | None:
    """Return the row of a job, or None."""
    return read(connection, [job_id]).get(str(job_id))


def write(connection: duckdb.DuckDBPyConnection, rows: Iterable[LedgerRow]) -> None:
    """Write rows in place of those of the same jobs; call it within a transaction."""
    changed = list(rows)
    connection.execute(
        "DELETE FROM gex_history_queue WHERE id IN (SELECT unnest(?))", [[row.id for row in changed]]
    )
    # One statement for all rows, a list for each column: a statement a row takes ten times as long.
    connection.execute(
        f"INSERT INTO gex_history_queue ({COLUMNS}) SELECT {_UNNESTED}",
        [list(column) for column in zip(*map(astuple, changed), strict=True)],
    )


def _select(connection: duckdb.DuckDBPyConnection, where: str, values: list[list[str]]) -> list[LedgerRow]:
    found = connection.execute(
        f"SELECT {COLUMNS} FROM gex_history_queue {where}",  # noqa: S608 (constants)
        values,
    ).fetchall()
    rows = (LedgerRow(*row) for row in found)
    return [replace(row, status=Status(row.status)) for row in rows]
