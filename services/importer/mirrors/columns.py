"""Insert rows into tables that mirror the broker: one statement for all, a list for each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import duckdb


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Any], unless: str = "") -> None:
    """Insert dataclasses whose fields are the columns of a table.

    Args:
        connection: with an open transaction.
        table: its name.
        rows: all of one class.
        unless: columns, separated by commas, whose values no row of the table may have yet.
    """
    if not rows:
        return
    columns = ", ".join(f'"{field.name}"' for field in fields(rows[0]))
    unnested = ", ".join(f'unnest(?) AS "{field.name}"' for field in fields(rows[0]))
    join = f"ANTI JOIN {table} USING ({unless})" if unless else ""
    connection.execute(
        f"INSERT INTO {table} ({columns}) "  # noqa: S608 (names of ours)
        f"SELECT {columns} FROM (SELECT {unnested}) AS new {join}",
        [list(column) for column in zip(*map(astuple, rows), strict=True)],
    )
