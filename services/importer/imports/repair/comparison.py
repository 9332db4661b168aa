"""Compare the partitions in the database with the Parquet tree.

A write-ahead log that was cut short opens without an error and without the last commits; a tree or a database
that was copied back may be older than the other. Sizes and times are compared for all partitions, footers
only where these differ: 10,000 partitions take about a second. Contents are not read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from gexlake.api.jobs import Status
from services.importer.formats import format_of
from services.importer.imports.repair.parquet_tree import chain_files, hour_files, partition_files
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import units as live_units
from services.importer.lake.live.partitions import NONE_LIVE, LiveCounts
from services.importer.lake.live.stored_batch import ChainFile, LiveHour, LiveUnit
from services.importer.lake.live.units import ExportedFile, LiveRows
from services.importer.lake.parquet_metadata import LIVE_JOB, Footer, read_footers
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import transaction
from shared.gexbot.dataset import GEXBOT
from shared.gexbot.partition import Partition
from shared.job_states import JobState
from shared.paths import LakePaths


@dataclass
class Comparison:
    """What differs."""

    to_load: list[Partition] = field(default_factory=list)
    """Only Parquet has them, or has newer content; the database has no row of them, but perhaps live rows."""
    to_write: list[PartitionRow] = field(default_factory=list)
    """Only the database has them, or has newer content."""
    to_export: list[LiveUnit] = field(default_factory=list)
    """The same of partitions with live rows, of hours of webhooks, and of option chains."""
    hours_to_load: list[LiveHour] = field(default_factory=list)
    """Only Parquet has all rows of them."""
    chains_to_load: list[ChainFile] = field(default_factory=list)
    """The same of option chains."""
    held: list[Partition] = field(default_factory=list)
    """All that the database has."""

    def __bool__(self) -> bool:
        return bool(self.to_load or self.to_write)


@dataclass(frozen=True)
class _Known:
    """What the database records of a partition, and of its Parquet file."""

    row: PartitionRow | None
    live: LiveRows | None
    export: ExportedFile | None

    @property
    def is_being_exported(self) -> bool:
        """Whether the file is to be written again, from what the database has: it may be older or newer."""
        is_begun = self.export is not None and self.export.exported_at is None
        return self.live is not None and self.live.is_dirty and is_begun

    def is_later(self, file: os.stat_result) -> bool:
        """Return whether a file was written after everything that is known."""
        times = [self.row.updated_at] if self.row else []
        if self.export and self.export.exported_at:
            times.append(self.export.exported_at)
        return not times or file.st_mtime > max(times).timestamp()

    def may_differ(self, file: os.stat_result) -> bool:
        """Return whether a file may have other content than the database."""
        if self.row is None:
            size = self.export.size_bytes if self.export else None
        else:
            size = self.row.parquet_bytes if self.row.published else file.st_size
        return self.is_later(file) or file.st_size != size


def compare(lake: Lake) -> Comparison:
    """Compare all partitions and hours, and remove the rows of partitions that Parquet has newer content of.

    Raises:
        StorageTrouble: the database or the Parquet folder cannot be read.
    """
    with lake.writing() as connection:
        rows = {row.partition: row for row in partitions.every(connection)}
        live = {each.unit: each for each in live_units.every(connection)}
        exports = live_units.exported_files(connection, lake.paths)
        files = dict(partition_files(lake.paths))
        found = Comparison(held=list(rows))
        suspect: dict[Partition, _Known] = {}
        for key, file in files.items():
            known = _Known(rows.get(key), live.get(key), exports.get(lake.paths.parquet(key)))
            if known.row is None and known.live is None:
                found.to_load.append(key)
            elif known.may_differ(file) and not known.is_being_exported:
                suspect[key] = known
        footers = read_footers(connection, [lake.paths.parquet(key) for key in suspect])
        for key, known in suspect.items():
            _judge(known, key, files[key], footers[lake.paths.parquet(key)], found)
        _find_missing(rows, live, files, found)
        _compare_hours(connection, lake.paths, live, exports, found)
        _compare_chains(connection, lake.paths, live, exports, found)
        with lake.without_live_writes(), transaction(connection):
            for partition in found.to_load:
                partitions.remove(connection, partition)
            live_units.mark_dirty(connection, found.to_export)
    return found


def _judge(
    known: _Known, partition: Partition, file: os.stat_result, footer: Footer | None, found: Comparison
) -> None:
    row = known.row
    if footer == _expected(partition, known):
        return
    if footer is not None and known.is_later(file):
        is_other = row is None or (footer.job_id, footer.source_sha256) != (row.job_id, row.checksum)
        if is_other or footer.live != NONE_LIVE:
            found.to_load.append(partition)
            return
    if row is not None and not row.published:
        return
    if known.live is not None:
        found.to_export.append(partition)
    elif row is not None:
        found.to_write.append(row)


def _expected(partition: Partition, known: _Known) -> Footer:
    """Return the footer of a file with the content that the database has."""
    row, live = known.row, known.live
    of_live = LiveCounts(live.rows, live.strike_rows) if live else NONE_LIVE
    snapshots = of_live.snapshots + (row.snapshots if row else 0)
    strike_rows = of_live.strike_rows + (row.strike_rows if row else 0)
    rows = strike_rows if format_of(partition.endpoint).rows else snapshots
    source = (row.job_id, row.checksum) if row else (LIVE_JOB, "")
    return Footer(*source, rows, of_live)


def _find_missing(
    rows: Mapping[Partition, PartitionRow],
    live: Mapping[LiveUnit, LiveRows],
    files: Collection[Partition],
    found: Comparison,
) -> None:
    """Find the partitions that have no Parquet file."""
    for unit in live:
        if isinstance(unit, Partition) and unit not in files:
            found.to_export.append(unit)
    missing = (row for row in rows.values() if row.published and row.partition not in files)
    found.to_write += [row for row in missing if row.partition not in live]


def _compare_hours(
    connection: duckdb.DuckDBPyConnection,
    paths: LakePaths,
    live: Mapping[LiveUnit, LiveRows],
    exports: Mapping[Path, ExportedFile],
    found: Comparison,
) -> None:
    files = dict(hour_files(paths))
    suspect: dict[LiveHour, _Known] = {}
    for hour, file in files.items():
        known = _Known(None, live.get(hour), exports.get(paths.webhooks(hour.table, hour.hour)))
        if known.may_differ(file) and not known.is_being_exported:
            suspect[hour] = known
    footers = read_footers(connection, [paths.webhooks(hour.table, hour.hour) for hour in suspect])
    for hour, known in suspect.items():
        footer = footers[paths.webhooks(hour.table, hour.hour)]
        if footer is not None and known.live is not None and footer.rows == known.live.rows:
            continue
        if known.live is None or (footer is not None and known.is_later(files[hour])):
            found.hours_to_load.append(hour)
        else:
            found.to_export.append(hour)
    found.to_export += [unit for unit in live if isinstance(unit, LiveHour) and unit not in files]


def _compare_chains(
    connection: duckdb.DuckDBPyConnection,
    paths: LakePaths,
    live: Mapping[LiveUnit, LiveRows],
    exports: Mapping[Path, ExportedFile],
    found: Comparison,
) -> None:
    files = dict(chain_files(paths))
    places = {chains: live_units.parquet_of(paths, chains) for chains in files}
    known = {chains: _Known(None, live.get(chains), exports.get(places[chains])) for chains in files}
    suspect = [
        chains
        for chains, each in known.items()
        if each.may_differ(files[chains]) and not each.is_being_exported
    ]
    footers = read_footers(connection, [places[chains] for chains in suspect])
    for chains in suspect:
        footer, rows = footers[places[chains]], known[chains].live
        is_same = (
            footer is not None
            and rows is not None
            and (footer.rows, footer.last_batch) == (rows.strike_rows, rows.exported)
        )
        if rows is None or (footer is not None and not is_same and known[chains].is_later(files[chains])):
            found.chains_to_load.append(chains)
        elif not is_same:
            found.to_export.append(chains)
    found.to_export += [unit for unit in live if isinstance(unit, ChainFile) and unit not in files]


def newest_imports(states: Iterable[JobState]) -> dict[Partition, JobState]:
    """Return the job that each partition was imported by last; other datasets have no partitions."""
    newest: dict[Partition, JobState] = {}
    for state in states:
        is_import = state.status is Status.COMPLETED and state.job.endpoint in GEXBOT.endpoints
        if not is_import or state.trading_day is None:
            continue
        key = Partition(state.job.ticker, state.job.endpoint, state.trading_day)
        if key not in newest or newest[key].updated_at < state.updated_at:
            newest[key] = state
    return newest


def is_news(state: JobState, row: PartitionRow | None) -> bool:
    """Return whether a job has imported content that its partition does not hold, and no later one."""
    return row is None or (state.sha256 != row.checksum and state.updated_at > row.updated_at)
