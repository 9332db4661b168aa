"""Compare the partitions in the database with the Parquet tree.

A write-ahead log that was cut short opens without an error and without the last commits; a tree or a database
that was copied back may be older than the other. Sizes and times are compared for all partitions, footers
only where these differ: 10,000 partitions take about a second. Contents are not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gexlake.api.jobs import Status
from services.importer.formats import format_of
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.parquet_metadata import Footer, read_footers
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import transaction
from shared.gexbot.partition import Partition
from shared.job_states import JobState
from shared.paths import LakePaths


@dataclass
class Comparison:
    """What differs."""

    to_load: list[Partition] = field(default_factory=list)
    """Only Parquet has them, or has newer content; the database has no row of them."""
    to_write: list[PartitionRow] = field(default_factory=list)
    """Only the database has them, or has newer content."""
    held: list[Partition] = field(default_factory=list)
    """All that the database has."""

    def __bool__(self) -> bool:
        return bool(self.to_load or self.to_write)


def compare(lake: Lake) -> Comparison:
    """Compare all partitions, and remove the rows of those that Parquet has newer content of.

    Raises:
        StorageTrouble: the database or the Parquet folder cannot be read.
    """
    with lake.writing() as connection:
        rows = {row.partition: row for row in partitions.every(connection)}
        files = dict(_files(lake.paths))
        found = Comparison(
            to_load=[partition for partition in files if partition not in rows],
            held=list(rows),
            to_write=[row for row in rows.values() if row.published and row.partition not in files],
        )
        suspect = [key for key in files.keys() & rows.keys() if _may_differ(rows[key], files[key])]
        footers = read_footers(connection, [lake.paths.parquet(key) for key in suspect])
        for key in suspect:
            _judge(rows[key], files[key], footers[lake.paths.parquet(key)], found)
        outdated = [partition for partition in found.to_load if partition in rows]
        if outdated:
            with transaction(connection):
                for partition in outdated:
                    partitions.remove(connection, partition)
    return found


def _files(paths: LakePaths) -> Iterator[tuple[Partition, os.stat_result]]:
    """Yield the partitions that have a Parquet file, and the sizes and times of the files."""
    for ticker in _entries(paths.parquet_root):
        for endpoint in _entries(Path(ticker.path)):
            for entry in _entries(Path(endpoint.path)):
                partition = paths.partition_of(Path(entry.path))
                if partition is not None and entry.is_file():
                    yield partition, entry.stat()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except NotADirectoryError:
        return []


def _may_differ(row: PartitionRow, file: os.stat_result) -> bool:
    return _is_later(file, row) or (row.published and file.st_size != row.parquet_bytes)


def _is_later(file: os.stat_result, row: PartitionRow) -> bool:
    return file.st_mtime > row.updated_at.timestamp()


def _judge(row: PartitionRow, file: os.stat_result, footer: Footer | None, found: Comparison) -> None:
    is_other = footer is not None and (footer.job_id, footer.source_sha256) != (row.job_id, row.checksum)
    if is_other and _is_later(file, row):
        found.to_load.append(row.partition)
    elif row.published and not _is_of(footer, row):
        found.to_write.append(row)


def _is_of(footer: Footer | None, row: PartitionRow) -> bool:
    rows = row.strike_rows if format_of(row.endpoint).rows else row.snapshots
    return footer == Footer(row.job_id, row.checksum, rows)


def newest_imports(states: Iterable[JobState]) -> dict[Partition, JobState]:
    """Return the job that each partition was imported by last."""
    newest: dict[Partition, JobState] = {}
    for state in states:
        if state.status is not Status.COMPLETED or state.trading_day is None:
            continue
        key = Partition(state.job.ticker, state.job.endpoint, state.trading_day)
        if key not in newest or newest[key].updated_at < state.updated_at:
            newest[key] = state
    return newest


def is_news(state: JobState, row: PartitionRow | None) -> bool:
    """Return whether a job has imported content that its partition does not hold, and no later one."""
    return row is None or (state.sha256 != row.checksum and state.updated_at > row.updated_at)
