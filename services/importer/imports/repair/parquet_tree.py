"""Walk the Parquet files of a lake."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from services.importer.lake.live.stored_batch import ChainFile, LiveHour
from shared.gexbot.partition import Partition
from shared.paths import LakePaths


def chain_files(paths: LakePaths) -> Iterator[tuple[ChainFile, os.stat_result]]:
    """Yield the option chains that have a Parquet file, and the sizes and times of the files."""
    for symbol in _entries(paths.chains_root):
        for day in _entries(Path(symbol.path)):
            for entry in _entries(Path(day.path)):
                chains = paths.chains_of(Path(entry.path))
                if chains is not None and entry.is_file():
                    yield ChainFile(*chains), entry.stat()


def hour_files(paths: LakePaths) -> Iterator[tuple[LiveHour, os.stat_result]]:
    """Yield the hours of webhooks that have a Parquet file, and the sizes and times of the files."""
    for day in _entries(paths.webhooks_root):
        for entry in _entries(Path(day.path)):
            hour = paths.webhooks_of(Path(entry.path))
            if hour is not None and entry.is_file():
                yield LiveHour(*hour), entry.stat()


def partition_files(paths: LakePaths) -> Iterator[tuple[Partition, os.stat_result]]:
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
