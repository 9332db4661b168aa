"""A staged file as two tables that DuckDB reads: its records, and the rows in them.

DuckDB's own JSON reader parses an array in one thread, writes every number of a nested array as text to cast
it again, and accepts some invalid JSON. The compiled reader (``native/``) accepts only what the format
allows, and returns Arrow columns (the Arrow PyCapsule interface), a batch at a time, to any thread.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import duckdb

from services.importer.errors import StorageTrouble
from services.importer.formats.format import MAX_DEPTH, MAX_RECORD_BYTES, MAX_RECORDS
from services.importer.reader.diagnosis import refusal_of
from services.importer.reader.library import stream
from services.importer.reader.source import RecordSource
from shared.errors import GexlakeError

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

RECORDS: Final = "staged_records"
"""One row a record: its ``number`` from 1, ``timestamp_ms``, the format's fields, and in ``others`` the names
of further fields as a JSON array, or null."""
ROWS: Final = "staged_rows"
"""One row an element of the records' rows: the record's ``number`` and ``timestamp_ms``, and its parts."""

BLOCK_BYTES = 1 << 20
"""The minimum number of bytes to read at a time."""

_CHECKED_AT_ONCE: Final = 10_000
_CUT_OFF: Final = re.compile(r"the file is cut off in record \d+")
_FAILED: Final = re.compile(r"^.* failed: ")
_NO_INPUT: Final = "it cannot be read"
"""The start of the reader's error if the disk fails, or the memory is exhausted."""


class StagedTable:
    """The records of a staged file, or their rows; each stream starts at the beginning of the file.

    Each value is valid in the format, or reading fails: in DuckDB, with ``InvalidInputException``.

    Args:
        source: the file, and the rules for its records.
        path: the plain file.
        rows: whether the table is that of the rows.
        batch_rows: a batch ends with the record that reaches this many rows.
        kept: a byte for each record of the file, 0 if its rows are dropped; None if all stay.
    """

    def __init__(
        self, source: RecordSource, path: Path, *, rows: bool, batch_rows: int, kept: bytes | None = None
    ) -> None:
        self._source = source
        self._path = path
        self._rows = rows
        self._batch_rows = batch_rows
        self._kept = kept

    def __arrow_c_stream__(self, requested_schema: object = None) -> CapsuleType:
        """Return the table as a stream with its own schema, whatever schema is requested."""
        form = self._source.format
        return stream(
            path=os.fsencode(self._path),
            ticker=self._source.ticker,
            fields=() if self._rows else form.fields,
            row_field=form.rows.field if form.rows else None,
            parts=form.rows.parts if form.rows else (),
            min_parts=form.rows.min_parts if form.rows else 0,
            wants_rows=self._rows,
            kept=self._kept,
            block_bytes=BLOCK_BYTES,
            batch_rows=self._batch_rows,
            max_record_bytes=MAX_RECORD_BYTES,
            max_records=MAX_RECORDS,
            max_depth=MAX_DEPTH,
        )


class StagedTables:
    """The tables of a staged file on a connection, for as long as the context lasts.

    Args:
        connection: the one that gets them.
        source: the file, and the rules for its records.
        path: the plain file.
        batch_rows: a batch ends with the record that reaches this many rows.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, source: RecordSource, path: Path, *, batch_rows: int
    ) -> None:
        self._connection = connection
        self._table = partial(StagedTable, source, path, batch_rows=batch_rows)

    def __enter__(self) -> Self:
        """Register the table ``staged_records``."""
        self._connection.register(RECORDS, self._table(rows=False))
        return self

    def add_rows(self, kept: bytes | None) -> None:
        """Register the table ``staged_rows``, of the records that are kept."""
        self._connection.register(ROWS, self._table(rows=True, kept=kept))

    def __exit__(self, *_: object) -> None:
        """Unregister the tables."""
        for name in (RECORDS, ROWS):
            self._connection.unregister(name)


def check_beginning(connection: duckdb.DuckDBPyConnection, source: RecordSource, path: Path) -> None:
    """Check the records at the beginning of a file, of which the rest is not there yet.

    Raises:
        GexlakeError: they break a rule, other than that the last one is cut off.
    """
    try:
        with StagedTables(connection, source, path, batch_rows=_CHECKED_AT_ONCE):
            connection.execute(f"SELECT count(timestamp_ms) FROM {RECORDS}")  # noqa: S608 (a constant)
    except duckdb.InvalidInputException as error:
        if not _CUT_OFF.search(str(error)):
            raise error_of(source, path, error) from error


def error_of(source: RecordSource, path: Path, error: duckdb.InvalidInputException) -> GexlakeError:
    """Return the error for DuckDB's error, which contains that of the reader.

    Args:
        source: the file, and the rules for its records.
        path: its plain text.
        error: the error of DuckDB.
    """
    problem = _FAILED.sub("", str(error).partition("\n")[0])
    if problem.startswith(_NO_INPUT):
        return StorageTrouble("reading the staged file", OSError(problem))
    return refusal_of(source, path, problem)
