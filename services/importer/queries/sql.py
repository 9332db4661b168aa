"""Answer one read-only query, with a limit of rows, bytes and time."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb

from gexlake.api.services import Column, SqlResponse
from services.importer.errors import QueryRefused
from services.importer.lake.database import Lake

MAX_ANSWER_BYTES: Final = 900_000
"""A NATS message holds 1 MiB; the rest is room for names and braces."""
_BATCH_ROWS: Final = 50
_QUOTES: Final = len('"": ')
_OPTIONS: Final = r"\(\s*(?:ANALYZE|FORMAT)\b(?:[\w\s,]|'\w*')*\)"
_EXPLAIN: Final = re.compile(rf"\s*EXPLAIN(\s+ANALYZE)?(\s*{_OPTIONS})?", re.IGNORECASE)


def answer(lake: Lake, query: str, *, max_rows: int, timeout_s: float) -> SqlResponse:
    """Run one SELECT on what is committed.

    Args:
        lake: where.
        query: one statement that reads.
        max_rows: the maximum number of rows to return.
        timeout_s: how long it may take.

    Raises:
        QueryRefused: it is not one reading statement, it fails, or it takes too long.
    """
    started = time.monotonic()
    _check(query)
    with lake.reading() as connection:
        try:
            with _time_limit(connection, timeout_s), _read_only(connection):
                connection.execute(query)
                columns = tuple(
                    Column(name=name, type=str(kind)) for name, kind, *_ in connection.description or ()
                )
                names = sum(len(column.name) + _QUOTES for column in columns)
                rows, truncated = _rows(connection, max_rows, names)
        except duckdb.FatalException:
            raise
        except duckdb.InterruptException as error:
            if time.monotonic() - started < timeout_s:
                raise QueryRefused(
                    "the lake is being closed or opened again: repeat the query", 503
                ) from error
            raise QueryRefused(
                f"the query took longer than {timeout_s:g} s and was interrupted", 408
            ) from error
        except duckdb.Error as error:
            raise QueryRefused(str(error).strip()) from error
    return SqlResponse(
        columns=columns, rows=rows, truncated=truncated, seconds=round(time.monotonic() - started, 6)
    )


def _check(query: str) -> None:
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise QueryRefused(str(error).strip()) from error
    if len(statements) != 1:
        raise QueryRefused(f"send one statement, not {len(statements)}")
    kind = statements[0].type
    if kind is duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, and a read-only transaction does not prevent COPY.
        _check(_EXPLAIN.sub("", statements[0].query, count=1))
    elif kind is duckdb.StatementType.MULTI:
        # Without values, DuckDB creates an ENUM type from the data before the query.
        raise QueryRefused("a PIVOT has to name the values that become columns: ON … IN (…)")
    elif kind is not duckdb.StatementType.SELECT:
        raise QueryRefused(f"only queries that read are answered, not {kind.name}")


@contextmanager
def _read_only(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _rows(
    connection: duckdb.DuckDBPyConnection, max_rows: int, extra_bytes: int
) -> tuple[tuple[tuple[Any, ...], ...], bool]:
    """Return the rows that fit, each with ``extra_bytes`` for the names it may be sent with."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while batch := connection.fetchmany(_BATCH_ROWS):
        for values in batch:
            row = tuple(_plain(value) for value in values)
            size += len(json.dumps(row)) + extra_bytes
            if len(rows) == max_rows or size > MAX_ANSWER_BYTES:
                return tuple(rows), True
            rows.append(row)
    return tuple(rows), False


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
