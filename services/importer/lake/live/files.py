"""The live rows that queries read beside the files in place: those stored since the last export.

A batch is written to small Parquet files, one a table, as soon as it is committed. The files of a partition
or an hour that such rows belong to are hidden from queries. In their place, queries read links to these files
as they were at the last export (the base), and the small files. An export replaces the files, and drops both.

Nothing here is flushed or needed after a crash: the folder is emptied at start, and what was not exported is
exported then.
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import structlog

from services.importer.lake.live.chunks import MERGED_AT_ONCE, Chunk, merge_chunks, write_chunk
from services.importer.lake.live.stored_batch import ChainFile, LiveHour, LiveUnit, StoredBatch
from services.importer.lake.live.tables import CHAINS, LIVE_TABLES
from shared.paths import LakePaths
from shared.process.durable_files import make_folder

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LiveView:
    """The files that one query reads beside those in place.

    Args:
        variables: lists of paths, by the names of the variables that the catalog's views read.
    """

    variables: Mapping[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.variables)


@dataclass(frozen=True)
class _Base:
    """The files of one unit at the last export, by table: their places, and links to them."""

    hidden: Mapping[str, Path]
    links: Mapping[str, Path]


class LiveFiles:
    """Keeps the live rows of one lake for queries; its methods may be called from any thread."""

    def __init__(self, paths: LakePaths) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._chunks: list[Chunk] = []
        """In the order of their batches."""
        self._bases: dict[LiveUnit, _Base] = {}
        self._exported = -1
        """The number of the last batch that the last export has written."""
        self._is_exporting = False
        self._names = itertools.count(1)
        self._uses: Counter[Path] = Counter()
        self._retired: set[Path] = set()
        self._tables_with_files: set[str] = set()

    def open(self) -> None:
        """Remove the files of a process that died, and find out which tables have files.

        Raises:
            OSError: the folder cannot be made.
        """
        shutil.rmtree(self._paths.live, ignore_errors=True)
        make_folder(self._paths.live)
        make_folder(self._paths.webhooks_root)
        found = map(self._paths.webhooks_of, self._paths.webhooks_root.glob("*/*.parquet"))
        self._tables_with_files = {table for table, _ in filter(None, found)}
        make_folder(self._paths.chains_root)
        if any(map(self._paths.chains_of, self._paths.chains_root.glob("*/*/*.parquet"))):
            self._tables_with_files.update(CHAINS)

    def has_files(self, table: str) -> bool:
        """Return whether a table of webhooks or option chains has Parquet files."""
        return table in self._tables_with_files

    def add_file(self, unit: LiveHour | ChainFile) -> None:
        """Note that webhooks or option chains have a Parquet file; called before ``exported``."""
        self._tables_with_files.update(CHAINS if isinstance(unit, ChainFile) else (unit.table,))

    def is_live(self, unit: LiveUnit) -> bool:
        """Return whether queries read live rows of a partition, an hour or a file of chains."""
        with self._lock:
            return unit in self._bases

    @property
    def has_rows(self) -> bool:
        """Whether queries read any live rows."""
        with self._lock:
            return bool(self._bases)

    def append(self, connection: duckdb.DuckDBPyConnection, batch: StoredBatch) -> None:
        """Let queries that begin from now on read the rows of a batch.

        Called after its commit, in the order of the batches. If it fails, the rows can be read after the next
        export.

        Args:
            connection: the one that stored the batch, with its temporary tables.
            batch: what it has stored.
        """
        try:
            chunk = write_chunk(connection, batch, self._new_name())
        except (duckdb.Error, OSError) as error:
            problem = str(error).partition("\n")[0]
            log.warning("live_rows_not_readable", error=problem, next="they are after the next export")
            return
        with self._lock:
            if batch.sequence <= self._exported:  # an export has seen its commit first
                self._retire(_files([chunk]))
                return
            for unit in chunk.units - self._bases.keys():
                self._bases[unit] = self._link(unit)
            self._chunks.append(chunk)
        self._merge(connection)

    @contextmanager
    def lease(self) -> Iterator[LiveView]:
        """Yield the files that a query reads; they stay for as long as the context lasts."""
        with self._lock:
            view, paths = self._view()
            self._uses.update(paths)
        try:
            yield view
        finally:
            with self._lock:
                self._uses.subtract(paths)
                self._remove_unused()

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Keep each file within one side of the snapshot that an export reads, which begins within."""
        with self._lock:
            self._is_exporting = True
        try:
            yield
        finally:
            with self._lock:
                self._is_exporting = False

    def exported(self, number: int) -> None:
        """Drop the rows of batches up to a number: the files of all that they belong to are in place.

        Called within ``exporting``.
        """
        with self._lock:
            self._exported = number
            dropped = [chunk for chunk in self._chunks if chunk.last <= number]
            self._chunks = [chunk for chunk in self._chunks if chunk.last > number]
            bases, self._bases = self._bases, {}
            for unit in {unit for chunk in self._chunks for unit in chunk.units}:
                self._bases[unit] = self._link(unit)
            self._retire(_files(dropped))
            self._retire(path for base in bases.values() for path in base.links.values())

    def forget(self) -> None:
        """Drop all rows: the database that has them is gone, and with it the numbers of its batches."""
        with self._lock:
            chunks, self._chunks = self._chunks, []
            bases, self._bases = self._bases, {}
            self._exported = -1
            self._retire(_files(chunks))
            self._retire(path for base in bases.values() for path in base.links.values())

    def _view(self) -> tuple[LiveView, list[Path]]:
        """Return the files as of now, and those of them that must stay."""
        lists: dict[str, list[Path]] = {}
        for chunk in self._chunks:
            for name, path in chunk.files.items():
                lists.setdefault(f"live_{name}", []).append(path)
        kept = [path for paths in lists.values() for path in paths]
        for base in self._bases.values():
            for table, path in base.links.items():
                lists.setdefault(f"live_{table}_base", []).append(path)
                kept.append(path)
            for table, path in base.hidden.items():
                lists.setdefault(f"live_{table}_hidden", []).append(path)
        return LiveView({name: [str(path) for path in paths] for name, paths in lists.items()}), kept

    def _link(self, unit: LiveUnit) -> _Base:
        """Keep the files of a partition, an hour or chains as they are now."""
        if isinstance(unit, LiveHour):
            hidden = {unit.table: self._paths.webhooks(unit.table, unit.hour)}
        elif isinstance(unit, ChainFile):
            hidden = dict.fromkeys(CHAINS, self._paths.chains(unit.symbol, unit.day, unit.timestamp))
        else:
            snapshots, strikes = LIVE_TABLES[:2]
            hidden = {snapshots: self._paths.records(unit, snapshots), strikes: self._paths.parquet(unit)}
        links: dict[str, Path] = {}
        for table, path in hidden.items():
            link = Path(f"{self._new_name()}.{table}.base.parquet")
            with suppress(FileNotFoundError):
                _link_or_copy(path, link)
                links[table] = link
        return _Base(hidden, links)

    def _new_name(self) -> str:
        return f"{self._paths.live}/{next(self._names)}"

    def _merge(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Merge the newest files of one size, if there are enough of them."""
        while group := self._group_to_merge():
            merged: list[Chunk] = []
            try:
                merged.append(merge_chunks(connection, group, self._new_name()))
            except (duckdb.Error, OSError) as error:
                log.warning("live_files_not_merged", error=str(error).partition("\n")[0])
            with self._lock:
                self._uses.subtract(_files(group))
                # An export that began in the meantime needs them one by one.
                is_current = not self._is_exporting and self._chunks[-len(group) :] == group
                if merged and is_current:
                    self._chunks[-len(group) :] = merged
                    self._retire(_files(group))
                else:
                    self._retire(_files(merged))
                    return

    def _group_to_merge(self) -> list[Chunk]:
        with self._lock:
            group = _newest_of_one_level(self._chunks)
            if len(group) < MERGED_AT_ONCE or self._is_exporting:
                return []
            self._uses.update(_files(group))
            return group

    def _retire(self, paths: Iterable[Path]) -> None:
        self._retired.update(paths)
        self._remove_unused()

    def _remove_unused(self) -> None:
        for path in [path for path in self._retired if self._uses[path] <= 0]:
            self._retired.discard(path)
            del self._uses[path]
            path.unlink(missing_ok=True)


def _files(chunks: Iterable[Chunk]) -> list[Path]:
    return [path for chunk in chunks for path in chunk.files.values()]


def _newest_of_one_level(chunks: list[Chunk]) -> list[Chunk]:
    first = len(chunks)
    while first > 0 and chunks[first - 1].level == chunks[-1].level:
        first -= 1
    return chunks[first:]


def _link_or_copy(source: Path, target: Path) -> None:
    """Link a file, or copy it if the folders are on two file systems."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
