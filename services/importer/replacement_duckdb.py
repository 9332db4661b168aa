"""Replace a partition by a staged file: all of it, in the tables and in Parquet, or nothing.

The Parquet file is written under a hidden name first, and the table's rows are inserted from it, so that both
are the same by construction and a full disk is met before anything changes. Then the transaction
commits, with the ledger at ``committed``; then the file is renamed into place; then the ledger says
``completed``. A process that dies between the last two is caught up with by ``recovery``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

import duckdb

from services.importer import ledger_duckdb
from services.importer import partitions_duckdb as partitions
from services.importer.diagnosis_json import find_fault, first_line
from services.importer.errors import UnreadableFile, WorseData
from services.importer.formats import format_of
from services.importer.formats.format import KEY_COLUMNS, Format
from services.importer.heads_duckdb import TABLE, Heads, drop_heads, load_heads
from services.importer.import_path import ImportPath
from services.importer.lake_duckdb import Lake
from services.importer.ledger import of_generation, with_outcome, with_replacement
from services.importer.parquet_duckdb import ParquetFile, hidden_parquet
from services.importer.parquet_metadata import metadata_of
from services.importer.partitions_duckdb import PartitionRow
from services.importer.reader_duckdb import stored
from services.importer.rows_duckdb import parquet_query
from services.importer.rules import Rules
from services.importer.source import Source
from services.importer.split_file import Split, split, whole
from services.importer.statements_duckdb import Interruption, quoted, transaction
from shared.durable_files import publish
from shared.failpoints import failpoint
from shared.job_states import Status
from shared.messages import ImportFile
from shared.partition import Partition
from shared.trading_day import bounds_ms

_OF_PARTITION: Final = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"
_REFUSED_BY_DUCKDB: Final = (duckdb.InvalidInputException, duckdb.ConversionException)


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
    rules: Rules,
    interruption: Interruption,
) -> PartitionRow:
    """Replace a partition by the staged file at ``path`` and return what it holds now.

    Args:
        lake: where.
        command: whose file it is.
        path: the staged file.
        clock: the present moment.
        rules: what the file is held to.
        interruption: by which the work may be ended from outside.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is no JSON of the vendor's form.
        WorseData: it has too few snapshots or strike rows and is not forced.
        StorageTrouble: the disk is full or fails; the partition is as it was.
    """
    job = command.job
    source = Source(
        path, format_of(job.endpoint), job.ticker, job.trading_day, rules.max_strays, interruption
    )
    replacement = _Replacement(lake, command, source, rules, clock)
    with lake.writing(interruption) as connection, _scratch(lake.paths.scratch) as folder:
        found = _split(source, folder, lake.import_path(path.stat().st_size))
        try:
            row = replacement.of(connection, found)
        except _REFUSED_BY_DUCKDB as error:
            row = _again(connection, replacement, source, folder, found, error)
    lake.refresh_parquet_view()
    return row


def _again(
    connection: duckdb.DuckDBPyConnection,
    replacement: _Replacement,
    source: Source,
    folder: Path,
    found: Split,
    error: duckdb.Error,
) -> PartitionRow:
    """Replace the partition by the whole file, unless the file is at fault and not where it was cut.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: it is no JSON.
    """
    fault = find_fault(source)
    if fault is not None or not found.is_derived:
        raise fault or UnreadableFile(source.path.name, first_line(error, source.path)) from error
    try:
        return replacement.of(connection, whole(source.path, folder, source.interruption))
    except _REFUSED_BY_DUCKDB as second:
        raise UnreadableFile(source.path.name, first_line(second, source.path)) from second


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """Make a folder for as long as the context lasts."""
    folder = Path(mkdtemp(prefix="import-", dir=root))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _split(source: Source, folder: Path, path: ImportPath) -> Split:
    rows = source.format.rows
    try:
        return split(
            source.path,
            folder,
            cut=path is ImportPath.FAST,
            row_field=rows.field if rows else None,
            interruption=source.interruption,
        )
    except UnreadableFile as error:
        raise find_fault(source) or error from error


class _Replacement:
    """The replacement of one partition, up to its end."""

    def __init__(
        self, lake: Lake, command: ImportFile, source: Source, rules: Rules, clock: Callable[[], datetime]
    ) -> None:
        self._lake = lake
        self._command = command
        self._source = source
        self._min_share = 0.0 if command.force else rules.min_share
        self._clock = clock

    def of(self, connection: duckdb.DuckDBPyConnection, found: Split) -> PartitionRow:
        """Replace the partition by what a staged file was split into.

        Raises:
            duckdb.InvalidInputException: it is not JSON, or a row is not what it must be.
            duckdb.ConversionException: the same.
        """
        job = self._command.job
        try:
            heads = load_heads(connection, self._source, found)
            if heads.is_dubious and (fault := find_fault(self._source)) is not None:
                raise fault
            partition = Partition(job.ticker, job.endpoint, heads.trading_day)
            held = _held(connection, self._source.format, partition)
            self._refuse_worse(partition, "snapshots", heads.records, held.snapshots)
            query = parquet_query(self._source, job.endpoint, found, heads)
            final = self._lake.paths.parquet(partition)
            metadata = metadata_of(partition, str(job.job_id), self._command.sha256)
            with hidden_parquet(connection, query, final, str(job.job_id), metadata) as file:
                rows = file.rows if self._source.format.rows else 0
                self._refuse_worse(partition, "strikes", rows, held.strike_rows)
                parquet_path = self._lake.paths.relative_to_parquet(final)
                row = _row(self._command, heads, rows, file, held, parquet_path, self._clock())
                _commit(connection, self._command, self._source.format, row, file, held)
                publish(file.path, final)
                failpoint("importer.parquet_renamed")
            return complete(connection, row, self._clock())
        finally:
            drop_heads(connection)

    def _refuse_worse(self, partition: Partition, field: str, new: int, held: int) -> None:
        if new < self._min_share * held:
            raise WorseData(partition, field, new, held, self._min_share)


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
    """Return the query of a partition's Parquet rows as the table holds them."""
    start, end = bounds_ms(partition.trading_day)
    form = format_of(partition.endpoint)
    return f"""
        SELECT {", ".join(form.parquet_columns)} FROM {form.parquet_table}
        WHERE timestamp >= {start} AND timestamp < {end}
            AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}
        ORDER BY timestamp
    """  # noqa: S608 (quoted)


def _held(connection: duckdb.DuckDBPyConnection, form: Format, partition: Partition) -> Held:
    snapshots, strike_rows = (
        connection.execute(f"SELECT count(*) FROM {table} WHERE {_OF_PARTITION}", _key(partition)).fetchall()  # noqa: S608
        for table in (form.table, form.parquet_table)
    )
    return Held(
        snapshots[0][0], strike_rows[0][0] if form.rows else 0, partitions.read(connection, partition)
    )


def _row(
    command: ImportFile,
    heads: Heads,
    strike_rows: int,
    file: ParquetFile,
    held: Held,
    parquet_path: str,
    now: datetime,
) -> PartitionRow:
    return PartitionRow(
        ticker=command.job.ticker,
        endpoint=command.job.endpoint,
        trading_day=heads.trading_day,
        job_id=str(command.job.job_id),
        generation=command.job.generation,
        checksum=command.sha256,
        replaced_checksum=held.row.checksum if held.row else None,
        source_bytes=command.size_bytes,
        snapshots=heads.records,
        strike_rows=strike_rows,
        duplicates=heads.duplicates,
        strays=heads.strays,
        unknown_records=heads.unknown_records,
        unknown_fields=", ".join(heads.unknown_fields) or None,
        first_timestamp=heads.first_ms,
        last_timestamp=heads.last_ms,
        parquet_path=parquet_path,
        parquet_bytes=file.size_bytes,
        parquet_checksum=file.sha256,
        published=False,
        updated_at=now,
    )


def _commit(
    connection: duckdb.DuckDBPyConnection,
    command: ImportFile,
    form: Format,
    row: PartitionRow,
    file: ParquetFile,
    held: Held,
) -> None:
    with transaction(connection):
        for table in form.tables:
            connection.execute(f"DELETE FROM {table} WHERE {_OF_PARTITION}", _key(row.partition))  # noqa: S608
        connection.execute(_insert_records(form, row))
        if form.rows is not None:
            connection.execute(_insert_rows(form, file))
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


def _insert_records(form: Format, row: PartitionRow) -> str:
    """Return the statement that inserts the records that are kept; the record's own columns come first."""
    constants = {**dict(form.constants), "job_id": quoted(row.job_id)}
    columns = (*KEY_COLUMNS, *(field.stored_as for field in form.fields), *constants)
    key = f"timestamp_ms, {quoted(row.ticker)}, {quoted(row.endpoint)}"
    values = (key, *(stored(field) for field in form.fields), *constants.values())
    return (
        f"INSERT INTO {form.table} ({', '.join(columns)}) "  # noqa: S608 (quoted)
        f"SELECT {', '.join(values)} FROM {TABLE} ORDER BY timestamp_ms"
    )


def _insert_rows(form: Format, file: ParquetFile) -> str:
    columns = ", ".join(form.parquet_columns)
    return (
        f"INSERT INTO {form.parquet_table} ({columns}) "  # noqa: S608 (quoted)
        f"SELECT {columns} FROM read_parquet({quoted(str(file.path))}, hive_partitioning = false)"
    )


def _key(partition: Partition) -> list[int | str]:
    return [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
