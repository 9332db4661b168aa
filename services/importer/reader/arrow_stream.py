"""A staged file as two tables that DuckDB reads: its records, and the rows in them.

DuckDB's own reader of JSON parses an array in one thread, writes every number of a nested array as text to
cast it again, and takes for right what is not. The compiled reader (``native/``) takes only what the format
allows and hands it on as Arrow columns (the Arrow PyCapsule interface), a batch at a time, to any thread.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import duckdb

from services.importer.errors import StorageTrouble
from services.importer.formats.format import MAX_DEPTH, MAX_RECORD_BYTES
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
"""What is read of the file at a time."""

_FAILED: Final = re.compile(r"^.* failed: ")
_NO_INPUT: Final = "it cannot be read"
"""What the reader says, whatever the file holds, if the disk fails."""


class StagedTable:
    """The records of a staged file, or their rows; every reading of it begins at the front.

    Each value is what the format says, or the reading fails: with DuckDB, as an invalid input.

    Args:
        source: whose records.
        path: the plain file.
        rows: whether the table is that of the rows.
        batch_rows: after so many rows a batch ends, with the record that is being read.
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
        """Return the table as a stream, whatever schema is wished for."""
        form = self._source.format
        return stream(
            path=os.fsencode(self._path),
            ticker=self._source.ticker,
            fields=() if self._rows else form.fields,
            row_field=form.rows.field if form.rows else None,
            parts=form.rows.parts if form.rows else (),
            min_parts=form.rows.least if form.rows else 0,
            wants_rows=self._rows,
            kept=self._kept,
            block_bytes=BLOCK_BYTES,
            batch_rows=self._batch_rows,
            max_record_bytes=MAX_RECORD_BYTES,
            max_depth=MAX_DEPTH,
        )


class StagedTables:
    """The tables of a staged file on a connection, for as long as the context lasts.

    Args:
        connection: where they are to be seen.
        source: whose records.
        path: the plain file.
        batch_rows: after so many rows a batch ends.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, source: RecordSource, path: Path, *, batch_rows: int
    ) -> None:
        self._connection = connection
        self._table = partial(StagedTable, source, path, batch_rows=batch_rows)

    def __enter__(self) -> Self:
        """Give the connection the table ``staged_records``."""
        self._connection.register(RECORDS, self._table(rows=False))
        return self

    def add_rows(self, kept: bytes | None) -> None:
        """Give the connection the table ``staged_rows``, of the records that are kept."""
        self._connection.register(ROWS, self._table(rows=True, kept=kept))

    def __exit__(self, *_: object) -> None:
        """Take the tables away."""
        for name in (RECORDS, ROWS):
            self._connection.unregister(name)


def error_of(source: RecordSource, error: duckdb.InvalidInputException) -> GexlakeError:
    """Return the error for what the reader said when DuckDB could not read on."""
    said = _FAILED.sub("", str(error).partition("\n")[0])
    if said.startswith(_NO_INPUT):
        return StorageTrouble("reading the staged file", OSError(said))
    return refusal_of(source, said)
