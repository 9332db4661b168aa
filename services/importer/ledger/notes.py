"""Write the ledger in the transactions of a replacement."""

from __future__ import annotations

from typing import Final

import duckdb

from gexlake.api.jobs import Status
from services.importer.lake.partition_tables import PartitionContents
from services.importer.lake.partitions import PartitionRow
from services.importer.ledger import table
from services.importer.ledger.rows import of_generation, with_outcome, with_replacement
from shared.bus.messages import ImportFile

# FAILED: the job failed permanently before its file could be put in place.
_COMPLETED_FROM: Final = frozenset({Status.COMMITTED, Status.FAILED})


class LedgerNotes:
    """Notes the steps of the job that a command belongs to."""

    def __init__(self, command: ImportFile) -> None:
        self._command = command

    def committed(
        self, connection: duckdb.DuckDBPyConnection, row: PartitionRow, replaced: PartitionContents
    ) -> None:
        """Note the commit, unless the ledger already has a later generation of the job."""
        current = of_generation(table.read_one(connection, row.job_id), self._command.job)
        if current is not None:
            committed = with_outcome(current, row, Status.COMMITTED, row.updated_at)
            counts = (replaced.snapshots, replaced.strike_rows)
            table.write(connection, [with_replacement(committed, self._command, replaced.row, counts)])

    def completed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
        """Note that the Parquet file is in place."""
        note_completed(connection, row)


def note_completed(connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
    """Note that a partition's Parquet file is in place."""
    known = table.read_one(connection, row.job_id)
    if known is not None and known.generation == row.generation and known.status in _COMPLETED_FROM:
        table.write(connection, [with_outcome(known, row, Status.COMPLETED, row.updated_at)])
