"""Answer the importer's own queries on the open database: ledger, coverage and days.

Their text is the importer's, so they need no process. Queries of users never come here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from services.importer.errors import QueryRefused
from services.importer.lake.database import Lake
from services.importer.queries.rows import Limits, Rows, read_rows


def answer(lake: Lake, query: str, limits: Limits, timeout_s: float) -> Rows:
    """Return the rows of a query on what is committed.

    Raises:
        QueryRefused: it takes too long, or the lake is being closed.
    """
    with lake.reading() as connection:
        try:
            with _time_limit(connection, timeout_s):
                return read_rows(connection, query, limits)
        except duckdb.InterruptException as error:
            raise QueryRefused(
                f"the query took longer than {timeout_s:g} s, or the lake is being closed: repeat it", 503
            ) from error


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
