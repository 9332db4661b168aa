"""The DuckDB file: opened once, by one process, with the schema of this version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Protocol

import duckdb
import structlog

from services.importer.errors import LakeDamaged, StorageTrouble, trouble
from services.importer.interruption import Interruption
from services.importer.lake.file import memory_limit, open_whole
from services.importer.lake.live.files import LiveFiles
from services.importer.lake.partition_locks import PartitionLocks
from services.importer.lake.quarantine import is_damage, quarantine_database
from services.importer.lake.schema.archive_view import ArchiveView
from services.importer.lake.schema.views import ParquetKind, ParquetViews
from services.importer.memory_profile import ImportMemory
from shared.errors import CannotStart
from shared.gexbot.partition import Partition
from shared.paths import LakePaths
from shared.process.durable_files import make_folder

_INSERT_SHARE: Final = 0.5
"""The share of its memory that DuckDB may use while rows are inserted."""

_CLOSE_READERS_WITHIN_S: Final = 10

_CONFLICTS: Final = (duckdb.InterruptException, duckdb.TransactionException)

_OF_LIVE_BATCHES: Final = frozenset(
    {
        *("feed_position", "live_partitions", "live_hours", "live_chains"),
        *("bar_days", "recent_bars", "snapshots", "complete_bar_days", "bar_gaps"),
    }
)
"""The small tables that live batches write to, beside the rows of partitions."""

log = structlog.get_logger(__name__)


class LakeSettings(Protocol):
    """The settings of a lake."""

    @property
    def paths(self) -> LakePaths:
        """The folders of the lake."""

    @property
    def memory(self) -> ImportMemory:
        """What DuckDB may use."""


class Lake:
    """One open DuckDB file; reads never wait.

    Writes go through ``writing``, one at a time, but for those of live batches, which go on beside them
    through ``live_writing``.
    """

    def __init__(
        self,
        paths: LakePaths,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        memory: ImportMemory,
    ) -> None:
        self.paths = paths
        self.memory = memory
        self._connect = connect
        self._connection: duckdb.DuckDBPyConnection | None = connect()
        self._writing = threading.Lock()
        self._live = threading.Lock()
        self.partition_locks = PartitionLocks()
        self._readers: set[duckdb.DuckDBPyConnection] = set()
        self._readers_changed = threading.Condition()
        self._closed = False
        self._is_invalid = False
        """Whether DuckDB has invalidated the instance; the next writer opens the file again."""
        self._damage: str | None = None
        """What is damaged in the file; the next writer moves it to the quarantine."""
        self.is_suspect = True
        """Whether partitions may be missing: the file was just opened, or is a new one."""
        self._views = ParquetViews(paths.parquet_root)
        self._archive = ArchiveView(paths.archived_jobs_root)
        self.live_files = LiveFiles(paths)
        self._writes = 0
        self._live_writes = 0

    @classmethod
    def open(cls, settings: LakeSettings) -> Lake:
        """Open the file, creating it if there is none, and bring its schema up to date.

        Raises:
            LakeLocked: another process has it open.
            CannotStart: it cannot be opened for another reason.
        """
        paths = settings.paths
        try:
            folders = (
                *(paths.data_dir, paths.parquet_root, paths.bars_root, paths.records_root),
                *(paths.catalog, paths.scratch),
            )
            for folder in folders:
                make_folder(folder)
        except OSError as error:
            raise CannotStart(f"the data folder cannot be used: {error} (GEXLAKE_DATA_DIR)") from error
        memory = settings.memory
        lake = cls(paths, partial(open_whole, paths, memory.duckdb_mb, memory.threads), memory)
        try:
            lake.live_files.open()
        except OSError as error:
            lake.close()
            raise CannotStart(f"the data folder cannot be used: {error} (GEXLAKE_DATA_DIR)") from error
        lake.refresh_parquet_view()
        return lake

    def close(self) -> None:
        """Interrupt the readers, write the log into the file and close it."""
        with self._writing:
            with self._readers_changed:
                self._closed = True
            self._disconnect()

    def writes_to(self, table: str) -> int:
        """Return a number that grows with the writes: a copy of a table is current while it is the same."""
        return self._writes + (self._live_writes if table in _OF_LIVE_BATCHES else 0)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own to the open file; it sees what is committed, and never waits.

        Raises:
            StorageTrouble: the file is being closed, or must be opened again first.
        """
        with self._registered() as connection:
            try:
                yield connection
            except duckdb.FatalException as error:
                self._is_invalid = True
                raise self._trouble("reading the lake", error) from error
            except duckdb.Error as error:
                if is_damage(error):
                    raise self._trouble("reading the lake", error) from error
                raise

    @contextmanager
    def live_writing(self, partitions: Iterable[Partition]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to the only live batch at a time; an import may go on beside it.

        Args:
            partitions: those that the batch changes; no import changes them in the meantime.

        Raises:
            DiskFull: there is no space.
            StorageTrouble: the disk fails, the file is being closed, or an import has changed the same rows.
        """
        self._open_again_if_needed()
        with self.partition_locks.holding(partitions), self._live, self._registered() as connection:
            try:
                with self._translating(
                    "storing live data", duckdb.InterruptException, duckdb.TransactionException
                ):
                    yield connection
            except duckdb.FatalException as error:
                self._is_invalid = True
                raise self._trouble("storing live data", error) from error
            finally:
                self._live_writes += 1

    @contextmanager
    def without_live_writes(self) -> Iterator[None]:
        """Keep live batches waiting for as long as the context lasts."""
        with self._live:
            yield

    @contextmanager
    def writing(self, interruption: Interruption | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to the only writer at a time.

        Args:
            interruption: by which another thread may end the work.

        Raises:
            DiskFull: there is no space.
            StorageTrouble: the disk fails.
        """
        with self._writing:
            if self._must_open_again:
                self._disconnect()
            connection = self._cursor()
            try:
                with (
                    self._translating("writing to the lake"),
                    (interruption or Interruption()).covering(connection),
                ):
                    yield connection
            except duckdb.FatalException as error:
                # The instance is invalid from here on; what was committed is in the file and its log.
                connection.close()
                self._disconnect()
                raise self._trouble("writing to DuckDB", error) from error
            finally:
                self._writes += 1
                connection.close()

    @contextmanager
    def sparing_memory(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Give DuckDB less memory for as long as rows are inserted.

        DuckDB keeps what it has written in its cache up to its limit, so inserting a large file would take
        more memory than the rest of its import. Must enclose the transaction: an aborted
        transaction refuses the statement that restores the limit.
        """
        with suppress(duckdb.OutOfMemoryException):  # queries use more at this moment
            connection.execute(memory_limit(int(self.memory.duckdb_mb * _INSERT_SHARE)))
        try:
            yield
        finally:
            try:
                connection.execute(memory_limit(self.memory.duckdb_mb))
            except duckdb.Error as error:  # invalid, or interrupted: the next import sets it again
                log.warning("memory_limit_not_restored", error=str(error))

    @contextmanager
    def _registered(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that is interrupted, and waited for, before the file is closed."""
        with self._readers_changed:
            connection = self._cursor()
            self._readers.add(connection)
        try:
            yield connection
        finally:
            with self._readers_changed:
                self._readers.discard(connection)
                connection.close()
                self._readers_changed.notify_all()

    @property
    def _must_open_again(self) -> bool:
        return self._is_invalid or self._damage is not None

    def _open_again_if_needed(self) -> None:
        if self._must_open_again:
            with self._writing:
                if self._must_open_again:
                    self._disconnect()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._readers_changed:
            if self._closed:
                raise StorageTrouble("using the lake", RuntimeError("the importer is stopping"))
            if self._connection is None:
                try:
                    self._connection = self._connect()
                except CannotStart as error:
                    raise trouble("opening the lake again", error) from error
            return self._connection.cursor()

    @contextmanager
    def _translating(self, doing: str, *transient: type[duckdb.Error]) -> Iterator[None]:
        """Translate errors of a writer, but for fatal ones.

        Args:
            doing: the operation.
            transient: further errors that are no fault of what is written.
        """
        try:
            yield
        except duckdb.FatalException:
            raise
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
            raise self._trouble(doing, error) from error
        except duckdb.Error as error:
            if isinstance(error, transient) or is_damage(error):
                raise self._trouble(doing, error) from error
            raise
        except StorageTrouble as error:
            if isinstance(error.__cause__, duckdb.Error) and is_damage(error.__cause__):
                raise self._trouble("committing", error.__cause__) from error
            raise

    def _trouble(self, doing: str, cause: Exception) -> StorageTrouble:
        """Return the error for a failed operation; the next writer quarantines a file that is damaged."""
        if not is_damage(cause):
            return trouble(doing, cause)
        self._damage = str(cause).splitlines()[0]
        self.is_suspect = True
        log.error("database_damaged", problem=self._damage, next="it is quarantined and rebuilt now")
        return LakeDamaged(doing, cause)

    def _disconnect(self) -> None:
        """Interrupt the readers, wait for them, and close the file; the next use opens it again.

        A damaged file is moved to the quarantine first.
        """
        with self._readers_changed:
            for _ in range(_CLOSE_READERS_WITHIN_S * 10):
                for reader in self._readers:
                    reader.interrupt()
                if self._readers_changed.wait_for(lambda: not self._readers, timeout=0.1):
                    break
            connection, self._connection = self._connection, None
            self._is_invalid = False
            if connection is not None:
                try:
                    connection.close()
                except duckdb.Error as error:
                    log.warning("lake_not_closed", error=str(error))
            if self._damage:
                quarantine_database(self.paths, self._damage)
                self.live_files.forget()
                self._damage = None
                self._views = ParquetViews(self.paths.parquet_root)
                self._archive = ArchiveView(self.paths.archived_jobs_root)

    def has_files(self, kind: ParquetKind) -> bool:
        """Return whether there are Parquet files of a kind, as of the last refresh of the views."""
        return self._views.has_files(kind)

    @property
    def has_archived_jobs(self) -> bool:
        """Whether there are files of archived jobs, as of the last refresh of the views."""
        return self._archive.has_files

    def make_archive_view(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the view over the files of archived jobs, if there is a first one; called within ``writing``.

        Raises:
            duckdb.Error: it cannot be made.
        """
        self._archive.make(connection)

    def refresh_parquet_view(self) -> None:
        """Make the views over the Parquet files; those of a kind are made again once it has a first file."""
        kinds = self._views.outdated()
        if not kinds and not self._archive.is_outdated:
            return
        try:
            with self.writing() as connection:
                self._views.make(connection, kinds)
                self._archive.make(connection)
        except (duckdb.Error, StorageTrouble) as error:
            # The importer works without the views.
            log.warning("parquet_view_not_refreshed", error=str(error).splitlines()[0])
