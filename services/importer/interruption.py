"""A way for one thread to end the work of another on the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb


class Interruption:
    """Lets another thread end the work that this one does on the lake."""

    def __init__(self) -> None:
        self._requested = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def request(self) -> None:
        """Request the end of the work; called from the other thread, repeatedly until the work has ended."""
        self._requested = True
        connection = self._connection
        if connection is not None:
            with suppress(duckdb.ConnectionException):  # closed in the meantime
                connection.interrupt()

    def check(self) -> None:
        """End here if that was requested.

        Raises:
            duckdb.InterruptException: as an interrupted query does.
        """
        if self._requested:
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
