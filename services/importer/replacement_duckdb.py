"""Replace a partition by a staged file: all of it, in the table and in Parquet, or nothing.

The Parquet file is written under a hidden name first, and the table's strike rows are inserted from it, so
that both are the same by construction and a full disk is met before anything changes. Then the transaction
commits, with the ledger at ``committed``; then the file is renamed into place; then the ledger says
``completed``. A process that dies between the last two is caught up with by ``recovery``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb

from services.importer import ledger_duckdb
from services.importer import partitions_duckdb as partitions
from services.importer.errors import WorseData
from services.importer.history_format import SNAPSHOT_COLUMNS, STRIKE_COLUMNS
from services.importer.lake_duckdb import Lake
from services.importer.ledger import of_generation, with_outcome, with_replacement
from services.importer.parquet_duckdb import ParquetFile, has_bad_numbers, hidden_parquet
from services.importer.parquet_metadata import metadata_of
from services.importer.partitions_duckdb import PartitionRow
from services.importer.staging_duckdb import TABLE, Staged, refusal_of, staged_records
from services.importer.statements_duckdb import Interruption, quoted, transaction
from shared.durable_files import publish
from shared.failpoints import failpoint
from shared.job_states import Status
from shared.messages import ImportFile, Job
from shared.partition import Partition
from shared.trading_day import bounds_ms

_OF_PARTITION: Final = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"


@dataclass(frozen=True)
class Held:
    """What a partition holds before it is replaced."""

    snapshots: int
    strike_rows: int
    row: PartitionRow | None


def replace_partition(
    lake: Lake,
    command: ImportFile,
    path: Path,
    *,
    clock: Callable[[], datetime],
    min_share: float,
    interruption: Interruption,
) -> PartitionRow:
    """Replace a partition by the staged file at ``path`` and return what it holds now.

    Args:
        lake: where.
        command: whose file it is.
        path: the staged file.
        clock: the present moment.
        min_share: a file with a smaller share of the snapshots or strike rows that the partition holds is
            refused.
        interruption: by which the work may be ended from outside.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is no JSON of the vendor's form.
        WorseData: it has too few snapshots or strike rows and is not forced.
        StorageTrouble: the disk is full or fails; the partition is as it was.
    """
    job = command.job
    with (
        lake.writing(interruption) as connection,
        staged_records(connection, path, job.ticker, job.trading_day, interruption) as staged,
    ):
        partition = Partition(job.ticker, job.endpoint, staged.trading_day)
        held = _held(connection, partition)
        least = partial(_refuse_worse, partition, 0.0 if command.force else min_share)
        least("snapshots", staged.snapshots, held.snapshots)
        final = lake.paths.parquet(partition)
        strikes = _strikes_query(connection, job, staged)
        metadata = metadata_of(partition, str(job.job_id), command.sha256)
        with hidden_parquet(connection, strikes, final, str(job.job_id), metadata) as file:
            if has_bad_numbers(connection, file):
                raise refusal_of(path, job.ticker, staged.trading_day, interruption)
            least("strikes", file.rows, held.strike_rows)
            row = _row(command, staged, file, held, lake.paths.relative_to_parquet(final), clock())
            _commit(connection, command, row, file, held)
            publish(file.path, final)
            failpoint("importer.parquet_renamed")
        row = complete(connection, row, clock())
    lake.refresh_parquet_view()
    return row


def complete(connection: duckdb.DuckDBPyConnection, row: PartitionRow, now: datetime) -> PartitionRow:
    """Record that a partition's Parquet file is in place, and its job completed."""
    published = replace(row, published=True)
    known = ledger_duckdb.read_one(connection, row.job_id)
    with transaction(connection):
        partitions.write(connection, published)
        # Failed: it was given up on before its file could be put in place.
        waited = {Status.COMMITTED, Status.FAILED}
        if known is not None and known.generation == row.generation and known.status in waited:
            ledger_duckdb.write(connection, [with_outcome(known, published, Status.COMPLETED, now)])
    failpoint("importer.completed")
    return published


def export_query(partition: Partition) -> str:
    """Return the query of a partition's strike rows as the table holds them."""
    start, end = bounds_ms(partition.trading_day)
    return f"""
        SELECT {", ".join(STRIKE_COLUMNS)} FROM gex_strikes
        WHERE timestamp >= {start} AND timestamp < {end}
            AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}
        ORDER BY timestamp
    """  # noqa: S608 (quoted)


def _refuse_worse(partition: Partition, share: float, field: str, new: int, held: int) -> None:
    if new < share * held:
        raise WorseData(partition, field, new, held, share)


def _held(connection: duckdb.DuckDBPyConnection, partition: Partition) -> Held:
    snapshots, strike_rows = (
        connection.execute(f"SELECT count(*) FROM {table} WHERE {_OF_PARTITION}", _key(partition)).fetchall()  # noqa: S608
        for table in ("gex_snapshots", "gex_strikes")
    )
    return Held(snapshots[0][0], strike_rows[0][0], partitions.read(connection, partition))


def _row(
    command: ImportFile, staged: Staged, file: ParquetFile, held: Held, parquet_path: str, now: datetime
) -> PartitionRow:
    return PartitionRow(
        ticker=command.job.ticker,
        endpoint=command.job.endpoint,
        trading_day=staged.trading_day,
        job_id=str(command.job.job_id),
        generation=command.job.generation,
        checksum=command.sha256,
        replaced_checksum=held.row.checksum if held.row else None,
        source_bytes=command.size_bytes,
        snapshots=staged.snapshots,
        strike_rows=file.rows,
        first_timestamp=staged.first_ms,
        last_timestamp=staged.last_ms,
        parquet_path=parquet_path,
        parquet_bytes=file.size_bytes,
        parquet_checksum=file.sha256,
        published=False,
        updated_at=now,
    )


def _commit(
    connection: duckdb.DuckDBPyConnection,
    command: ImportFile,
    row: PartitionRow,
    file: ParquetFile,
    held: Held,
) -> None:
    with transaction(connection):
        for table in ("gex_snapshots", "gex_strikes"):
            connection.execute(f"DELETE FROM {table} WHERE {_OF_PARTITION}", _key(row.partition))  # noqa: S608
        connection.execute(_insert_snapshots(row))
        connection.execute(_insert_strikes(file))
        partitions.write(connection, row)
        _note_commit(connection, command, row, held)
        failpoint("importer.loaded")
    failpoint("importer.committed")


def _note_commit(
    connection: duckdb.DuckDBPyConnection, command: ImportFile, row: PartitionRow, held: Held
) -> None:
    """Write the job's ledger row, unless the job was asked for again since: then it tells of that."""
    current = of_generation(ledger_duckdb.read_one(connection, row.job_id), command.job)
    if current is not None:
        committed = with_outcome(current, row, Status.COMMITTED, row.updated_at)
        counts = (held.snapshots, held.strike_rows)
        ledger_duckdb.write(connection, [with_replacement(committed, command, held.row, counts)])


def _strikes_query(connection: duckdb.DuckDBPyConnection, job: Job, staged: Staged) -> str:
    """Return the query of the strike rows, in as many pieces as DuckDB has threads.

    In one piece one thread would do all of it: a day of snapshots is a single row group. The order is kept.
    """
    columns = _expressions(STRIKE_COLUMNS, ticker=job.ticker, endpoint=job.endpoint)
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
    bounds = [piece * staged.snapshots // threads for piece in range(threads + 1)]
    return " UNION ALL ".join(
        f"SELECT {columns} FROM (SELECT timestamp_ms, unnest(strikes) AS strike FROM {TABLE} "  # noqa: S608
        f"WHERE rowid >= {first} AND rowid < {end})"
        for first, end in pairwise(bounds)
    )


def _insert_snapshots(row: PartitionRow) -> str:
    columns = _expressions(SNAPSHOT_COLUMNS, ticker=row.ticker, endpoint=row.endpoint, job_id=row.job_id)
    return f"INSERT INTO gex_snapshots ({', '.join(SNAPSHOT_COLUMNS)}) SELECT {columns} FROM {TABLE}"  # noqa: S608


def _insert_strikes(file: ParquetFile) -> str:
    columns = ", ".join(STRIKE_COLUMNS)
    return f"INSERT INTO gex_strikes ({columns}) SELECT {columns} FROM read_parquet({quoted(str(file.path))})"  # noqa: S608


def _expressions(columns: dict[str, str], **values: str) -> str:
    """Return a select list with the named values written in as literals."""
    text = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    for name, value in values.items():
        text = text.replace(f"${name}", quoted(value))
    return text


def _key(partition: Partition) -> list[int | str]:
    return [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
