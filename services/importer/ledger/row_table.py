"""A table as rows of a dataclass: read by key, and written many at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from uuid import UUID

import duckdb

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


class RowTable(Generic[R]):
    """One table whose rows have a unique key.

    Args:
        name: of the table.
        key: the column of the key, which is a text.
        row_type: its fields are named and ordered as the columns.
        load: makes a row of the columns' values.
        time: a column that never changes in a row; rows are written about in its order.
    """

    def __init__(
        self, name: str, key: str, row_type: type[R], load: Callable[..., R], time: str | None = None
    ) -> None:
        self.name: Final = name
        self._key: Final = key
        self._load = load
        self._time = time
        self._columns: Final = tuple(field.name for field in fields(row_type))

    def key_of(self, row: R) -> str:
        """Return the key of a row."""
        return str(getattr(row, self._key))

    def read(
        self, connection: duckdb.DuckDBPyConnection, keys: Iterable[UUID | str], since: datetime | None = None
    ) -> dict[str, R]:
        """Return the rows of some keys, by key.

        Args:
            connection: to the database.
            keys: which.
            since: no row's time is earlier: older parts of the table are not read.
        """
        where, values = self._where([str(key) for key in keys], since)
        rows = self.select(connection, where, values)
        return {self.key_of(row): row for row in rows}

    def read_all(self, connection: duckdb.DuckDBPyConnection) -> list[R]:
        """Return all rows; columns that a table of an older version lacks are None."""
        known = connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [self.name]
        ).fetchall()
        columns = [name if (name,) in known else f"NULL AS {name}" for name in self._columns]
        return self.select(connection, "true", [], columns) if known else []

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: Iterable[R],
        held: Collection[str] | None = None,
        since: datetime | None = None,
    ) -> None:
        """Write rows in place of those of the same keys; call it within a transaction.

        Args:
            connection: to the database.
            rows: which.
            held: the keys that the table has, if that is known.
            since: as in ``read``.
        """
        changed = list(rows)
        keys = [self.key_of(row) for row in changed]
        if replaced := [key for key in keys if held is None or key in held]:
            where, values = self._where(replaced, since)
            connection.execute(f"DELETE FROM {self.name} WHERE {where}", values)  # noqa: S608 (names of ours)
        if not changed:
            return
        # One statement for all rows, a list for each column: a statement a row takes ten times as long.
        unnested = ", ".join("unnest(?)" for _ in self._columns)
        connection.execute(
            f"INSERT INTO {self.name} ({', '.join(self._columns)}) SELECT {unnested}",
            [[getattr(row, name) for row in changed] for name in self._columns],
        )

    def _where(self, keys: list[str], since: datetime | None) -> tuple[str, list[Any]]:
        among = f"{self._key} IN (SELECT unnest(?))"
        return (among, [keys]) if since is None else (f"{self._time} >= ? AND {among}", [since, keys])

    def select(
        self,
        connection: duckdb.DuckDBPyConnection,
        where: str,
        values: list[Any],
        columns: Sequence[str] | None = None,
    ) -> list[R]:
        """Return the rows of a condition.

        Args:
            connection: to the database.
            where: the condition, in SQL.
            values: of its parameters.
            columns: what stands for each column.
        """
        found = connection.execute(
            f"SELECT {', '.join(columns or self._columns)} FROM {self.name} WHERE {where}",  # noqa: S608
            values,
        ).fetchall()
        return [self._load(*row) for row in found]
