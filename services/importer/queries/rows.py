"""The rows of a result as JSON, up to limits of rows and bytes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

import duckdb

MAX_ANSWER_BYTES: Final = 900_000
"""A NATS message holds 1 MiB; the rest is room for names and braces."""
_BATCH_ROWS: Final = 50
_QUOTES: Final = len('"": ')


@dataclass(frozen=True)
class Limits:
    """How much of a result is returned.

    Args:
        rows: the maximum number of rows.
        size_bytes: the maximum size of the rows as JSON.
    """

    rows: int
    size_bytes: int = MAX_ANSWER_BYTES


@dataclass(frozen=True)
class Rows:
    """A result, as far as the limits allow.

    Args:
        columns: the name and DuckDB's type of each.
        rows: values that JSON can hold.
        truncated: whether there are more rows.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool

    def objects(self) -> tuple[dict[str, Any], ...]:
        """Return the rows as objects of columns and values."""
        names = [name for name, _ in self.columns]
        return tuple(dict(zip(names, row, strict=True)) for row in self.rows)


def read_rows(connection: duckdb.DuckDBPyConnection, query: str, limits: Limits) -> Rows:
    """Execute a query and return its rows.

    Raises:
        duckdb.Error: it fails.
    """
    connection.execute(query)
    columns = tuple((name, str(kind)) for name, kind, *_ in connection.description or ())
    # Each row may be sent as an object, with the names.
    names = sum(len(name) + _QUOTES for name, _ in columns)
    rows: list[tuple[Any, ...]] = []
    size = 0
    while batch := connection.fetchmany(_BATCH_ROWS):
        for values in batch:
            row = tuple(_plain(value) for value in values)
            size += len(json.dumps(row)) + names
            if len(rows) == limits.rows or size > limits.size_bytes:
                return Rows(columns, tuple(rows), truncated=True)
            rows.append(row)
    return Rows(columns, tuple(rows), truncated=False)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinities become null, dates and the like their text."""
    match value:
        case None | bool() | int() | str():
            plain: Any = value
        case float():
            plain = value if math.isfinite(value) else None
        case bytes():
            plain = value.hex()
        case list() | tuple():
            plain = [_plain(item) for item in value]
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case _:
            plain = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return plain
