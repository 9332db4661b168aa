"""Transactions and literals for SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import structlog

from services.importer.errors import trouble

log = structlog.get_logger(__name__)


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


def set_variables(connection: duckdb.DuckDBPyConnection, variables: Mapping[str, Sequence[str]]) -> None:
    """Set variables of the session, which are lists of texts."""
    for name, texts in variables.items():
        connection.execute(f"SET VARIABLE {name} = [{', '.join(map(quoted, texts))}]::VARCHAR[]")
