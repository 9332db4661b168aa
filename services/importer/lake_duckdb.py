"""The DuckDB file: opened once, by one process, at the schema that this version knows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.errors import LakeLocked, StorageTrouble
from services.importer.settings import ImporterSettings
from shared.durable_files import make_folder
from shared.errors import CannotStart
from shared.paths import PARQUET_SUFFIX, LakePaths

STORAGE_VERSION: Final = "v1.4.0"
"""Older DuckDB releases, from this one on, can open the file."""

_HOLDER = re.compile(r"held in (?P<program>\S*).*?\(PID (?P<pid>\d+)\)")
_EMPTY_VIEW: Final = "SELECT * FROM gex_strikes WHERE false"

log = structlog.get_logger(__name__)


class Lake:
    """One open DuckDB file. Writes go through ``writing``, one at a time; reads wait for nobody."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        paths: LakePaths,
        reopen: Callable[[], duckdb.DuckDBPyConnection],
    ) -> None:
        self.paths = paths
        self._connection = connection
        self._reopen = reopen
        self._writing = threading.Lock()
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._view_is_empty = True

    @classmethod
    def open(cls, settings: ImporterSettings) -> Lake:
        """Open the file, creating it if there is none, and bring its schema up to date.

        Raises:
            LakeLocked: another process has it open.
            CannotStart: it cannot be opened for another reason.
        """
        paths = settings.paths
        for folder in (paths.data_dir, paths.parquet_root, paths.scratch):
            make_folder(folder)

        def connect() -> duckdb.DuckDBPyConnection:
            return _connect(settings, paths)

        lake = cls(connect(), paths, connect)
        _migrate(lake._connection)
        lake.refresh_parquet_view()
        return lake

    def close(self) -> None:
        """Write the log into the file and close it."""
        with self._writing:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own to the open file; it sees what is committed and waits for nobody."""
        connection = self._connection.cursor()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to the only writer at a time; errors of the disk become ``StorageTrouble``."""
        with self._writing:
            connection = self._writer = self._connection.cursor()
            try:
                yield connection
            except duckdb.FatalException as error:
                # The instance is invalid from here on; what was committed is in the file and its log.
                self._connection.close()
                self._connection = self._reopen()
                raise StorageTrouble("writing to DuckDB", error) from error
            except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
                raise StorageTrouble("writing to the lake", error) from error
            finally:
                self._writer = None
                connection.close()

    def interrupt_writer(self) -> None:
        """Make the query that the writer runs, if any, end with ``duckdb.InterruptException``."""
        writer = self._writer
        if writer is not None:
            writer.interrupt()

    def refresh_parquet_view(self) -> None:
        """Make ``parquet_gex_strikes`` read all Parquet files, once there is one to take the columns from."""
        if not self._view_is_empty:
            return
        pattern = self.paths.parquet_root / "*" / "*" / f"*{PARQUET_SUFFIX}"
        found = next(self.paths.parquet_root.glob(f"*/*/*{PARQUET_SUFFIX}"), None)
        query = f"SELECT * FROM read_parquet({quoted(str(pattern))})" if found else _EMPTY_VIEW  # noqa: S608
        try:
            with self.writing() as connection:
                connection.execute(f"CREATE OR REPLACE VIEW parquet_gex_strikes AS {query}")
        except duckdb.InvalidInputException as error:
            # A damaged file must not stop the importer, which is what mends it.
            log.warning("parquet_view_not_refreshed", error=str(error).splitlines()[0])
            return
        self._view_is_empty = found is None


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what is done inside, or roll all of it back."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        try:
            connection.rollback()
        except duckdb.Error as error:
            log.debug("rollback_failed", error=str(error))
        raise


def quoted(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _connect(settings: ImporterSettings, paths: LakePaths) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(
            str(paths.database),
            config={
                "storage_compatibility_version": STORAGE_VERSION,
                "memory_limit": f"{settings.memory_limit_mb}MiB",
                "temp_directory": str(paths.scratch),
                **({"threads": settings.import_threads} if settings.import_threads else {}),
            },
        )
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            match = _HOLDER.search(str(error))
            raise LakeLocked(paths.database, f" (process {match['pid']})" if match else "") from error
        raise CannotStart(f"{paths.database} cannot be opened: {error}") from error
    except duckdb.Error as error:
        raise CannotStart(f"{paths.database} cannot be opened: {error}") from error
    _confine(connection, paths)
    return connection


def _confine(connection: duckdb.DuckDBPyConnection, paths: LakePaths) -> None:
    """Let no query, whoever sends it, read or write files outside the lake, nor undo this."""
    allowed = [paths.staging_root, paths.parquet_root, paths.scratch]
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    listed = ", ".join(quoted(f"{folder}/") for folder in allowed)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _migrate(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name VARCHAR NOT NULL, applied_at TIMESTAMPTZ)"
    )
    applied = {name for (name,) in connection.execute("SELECT name FROM schema_migrations").fetchall()}
    known = _migrations()
    unknown = applied - {path.name for path in known}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise CannotStart(f"the lake was written by a newer gexlake, which applied {names}: upgrade this one")
    for path in known:
        if path.name not in applied:
            with transaction(connection):
                connection.execute(path.read_text())
                connection.execute("INSERT INTO schema_migrations VALUES (?, now())", [path.name])
            log.info("migration_applied", name=path.name)


def _migrations() -> list[Path]:
    folder = Path(str(resources.files("services.importer.migrations")))
    return sorted(folder.glob("*.sql"))
