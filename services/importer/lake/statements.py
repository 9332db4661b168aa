"""What every piece of SQL here needs: transactions, literals, and a way to be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb
import structlog

from services.importer.errors import trouble

log = structlog.get_logger(__name__)


class Interruption:
    """Lets another thread end the work that this one does on the lake."""

    def __init__(self) -> None:
        self._asked = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def ask(self) -> None:
        """Ask the work to end; called from the other thread, again until it has."""
        self._asked = True
        connection = self._connection
        if connection is not None:
            with suppress(duckdb.ConnectionException):  # closed at this moment
                connection.interrupt()

    def check(self) -> None:
        """End here if that was asked for.

        Raises:
            duckdb.InterruptException: as a query that is interrupted does.
        """
        if self._asked:
            raise duckdb.InterruptException("interrupted")

    @contextmanager
    def covering(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt this connection's query, too, while the context lasts."""
        self.check()
        self._connection = connection
        try:
            yield
        finally:
            self._connection = None


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what is done inside, or roll all of it back.

    Raises:
        DiskFull: there is no space for the commit; nothing is changed.
        StorageTrouble: it could not be written for another reason; nothing is changed.
    """
    connection.begin()
    try:
        yield
        _commit(connection)
    except BaseException:
        try:
            connection.rollback()
        except duckdb.Error as error:
            log.debug("rollback_failed", error=str(error))
        raise


def _commit(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.commit()
    except duckdb.TransactionException as error:
        raise trouble("committing", error) from error


def quoted(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
