"""The DuckDB file: opened once, by one process, with the schema of this version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Protocol

import duckdb
import structlog

from services.importer.errors import StorageTrouble, trouble
from services.importer.interruption import Interruption
from services.importer.lake.file import memory_limit, open_file
from services.importer.lake.migrate import migrate
from services.importer.lake.views import ParquetViews
from services.importer.memory_profile import ImportMemory
from shared.errors import CannotStart
from shared.paths import LakePaths
from shared.process.durable_files import make_folder

_INSERT_SHARE: Final = 0.5
"""The share of its memory that DuckDB may use while rows are inserted."""

_CLOSE_READERS_WITHIN_S: Final = 10

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
    """One open DuckDB file. Writes go through ``writing``, one at a time; reads never wait."""

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
        self._readers: set[duckdb.DuckDBPyConnection] = set()
        self._readers_changed = threading.Condition()
        self._closed = False
        self._is_invalid = False
        """Whether DuckDB has invalidated the instance; the next writer opens the file again."""
        self._views = ParquetViews(paths.parquet_root)

    @classmethod
    def open(cls, settings: LakeSettings) -> Lake:
        """Open the file, creating it if there is none, and bring its schema up to date.

        Raises:
            LakeLocked: another process has it open.
            CannotStart: it cannot be opened for another reason.
        """
        paths = settings.paths
        try:
            folders = (paths.data_dir, paths.parquet_root, paths.records_root, paths.catalog, paths.scratch)
            for folder in folders:
                make_folder(folder)
        except OSError as error:
            raise CannotStart(f"the data folder cannot be used: {error} (GEXLAKE_DATA_DIR)") from error
        memory = settings.memory
        lake = cls(paths, partial(open_file, paths, memory.duckdb_mb, memory.threads), memory)
        try:
            lake._migrate()
        except CannotStart:
            lake.close()
            raise
        lake.refresh_parquet_view()
        return lake

    def _migrate(self) -> None:
        try:
            with self.writing() as connection:
                migrate(connection)
        except StorageTrouble as error:
            problem = str(error.__cause__).splitlines()[0]
            message = f"the schema of {self.paths.database} cannot be brought up to date: {problem}"
            raise CannotStart(f"{message} (GEXLAKE_DATA_DIR)") from error

    def close(self) -> None:
        """Interrupt the readers, write the log into the file and close it."""
        with self._writing:
            with self._readers_changed:
                self._closed = True
            self._disconnect()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own to the open file; it sees what is committed, and never waits.

        Raises:
            StorageTrouble: the file is being closed, or must be opened again first.
        """
        with self._readers_changed:
            connection = self._cursor()
            self._readers.add(connection)
        try:
            yield connection
        except duckdb.FatalException as error:
            self._is_invalid = True
            raise trouble("reading the lake", error) from error
        finally:
            with self._readers_changed:
                self._readers.discard(connection)
                connection.close()
                self._readers_changed.notify_all()

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
            if self._is_invalid:
                self._disconnect()
            connection = self._cursor()
            try:
                with (interruption or Interruption()).covering(connection):
                    yield connection
            except duckdb.FatalException as error:
                # The instance is invalid from here on; what was committed is in the file and its log.
                connection.close()
                self._disconnect()
                raise trouble("writing to DuckDB", error) from error
            except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
                raise trouble("writing to the lake", error) from error
            finally:
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

    def _disconnect(self) -> None:
        """Interrupt the readers, wait for them, and close the file; the next use opens it again."""
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

    def refresh_parquet_view(self) -> None:
        """Make the views over the Parquet files; those of a kind are made again once it has a first file."""
        kinds = self._views.outdated()
        if not kinds:
            return
        try:
            with self.writing() as connection:
                self._views.make(connection, kinds)
        except (duckdb.Error, StorageTrouble) as error:
            # The importer works without the views.
            log.warning("parquet_view_not_refreshed", error=str(error).splitlines()[0])
