"""The description of a vendor's format: its fields, their rules, and the tables that they go to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""The maximum size of a record; real ones have about 7,000 bytes."""
MAX_RECORDS: Final = 1_000_000
"""The maximum number of records of a file; real days have about 23,400, one a second, or fewer."""
MAX_DEPTH: Final = 64
"""The maximum nesting of a record."""

KEY_COLUMNS: Final = ("timestamp", "ticker", "endpoint")
"""The columns that every row of the lake begins with."""


class Kind(StrEnum):
    """The type of a value; null is allowed unless the field is required."""

    NUMBER = "number"
    """A JSON number that is a finite double; stored as DOUBLE."""
    INTEGER = "integer"
    """A JSON number that is a 32-bit integer; stored as INTEGER."""
    ARRAY = "array"
    """Any JSON array; stored as its JSON text."""
    NUMBERS = "numbers"
    """A JSON array of numbers and nulls; stored as its JSON text."""


@dataclass(frozen=True)
class Field:
    """A field of a record, or an element of a row.

    Args:
        name: as the vendor calls it.
        kind: the type of its value.
        required: whether it must be present and not null.
        column: the column's name, if it is another.
    """

    name: str
    kind: Kind = Kind.NUMBER
    required: bool = False
    column: str = ""

    @property
    def stored_as(self) -> str:
        """The column's name."""
        return self.column or self.name


@dataclass(frozen=True)
class Rows:
    """The array in each record whose elements become rows; each element is an array itself.

    Args:
        field: the array's name in the record.
        table: the table of its rows.
        parts: the elements of a row, in their order.
        min_parts: the minimum number of elements; those after it are optional.
    """

    field: str
    table: str
    parts: tuple[Field, ...]
    min_parts: int


@dataclass(frozen=True)
class Format:
    """One of the vendor's packages.

    A record has a ``timestamp`` (epoch seconds) and a ``ticker``, the fields named here, and perhaps an array
    of rows. Parquet holds the rows, or the records of a format that has no rows.

    Args:
        package: its name in the vendor's file names.
        endpoints: the endpoints whose files have this format.
        table: the table of its records.
        fields: the fields of a record beside ``timestamp`` and ``ticker``.
        rows: its array of rows, if it has one.
        history: the view of all its Parquet files, by ticker, endpoint and trading day.
        constants: further columns of ``table``, each with its SQL literal.
    """

    package: str
    endpoints: tuple[str, ...]
    table: str
    fields: tuple[Field, ...]
    rows: Rows | None
    history: str
    constants: tuple[tuple[str, str], ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all fields that a record may have."""
        names = ("timestamp", "ticker", *(field.name for field in self.fields))
        return (*names, self.rows.field) if self.rows else names

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that hold a partition of this format."""
        return (self.table, self.rows.table) if self.rows else (self.table,)

    @property
    def parquet_table(self) -> str:
        """The table whose rows the Parquet file has."""
        return self.tables[-1]

    @property
    def parquet_columns(self) -> tuple[str, ...]:
        """The columns of the Parquet file."""
        fields = self.rows.parts if self.rows else self.fields
        return (*KEY_COLUMNS, *(field.stored_as for field in fields))
