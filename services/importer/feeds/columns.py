"""Rows as Arrow columns, which DuckDB reads without a copy in Python: ``executemany`` takes seconds.

The Arrow PyCapsule interface needs no pyarrow.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import duckdb
import nanoarrow as na
from nanoarrow.c_array import CArray

_EPOCH_DAY: Final = date(1970, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    types: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
) -> Iterator[None]:
    """Make columns a view of a connection for as long as the context lasts.

    Args:
        connection: the one that gets it.
        name: of the view.
        types: the columns' types, in DuckDB's words, by their names.
        rows: the values of each column, in the order of ``types``; None is NULL, a text may be UTF-8.

    Raises:
        TypeError: a value has another type than its column.
        OverflowError: a value does not fit its column.
    """
    columns = [_COLUMN_OF[kind](values) for kind, values in zip(types.values(), rows, strict=True)]
    length = len(rows[0]) if rows else 0
    schema = na.struct({column: _SCHEMA_OF[kind] for column, kind in types.items()})
    table = na.c_array_from_buffers(schema, length, [None], children=columns)
    connection.register(name, na.Array(table))
    try:
        yield
    finally:
        connection.unregister(name)


def _fixed(typecode: str, schema: Any, convert: Callable[[Any], Any] | None = None) -> Any:
    def column(values: Sequence[Any]) -> CArray:
        validity = _validity(values)
        filled: Iterable[Any] = values
        if convert is not None:
            filled = [0 if value is None else convert(value) for value in values]
        elif validity is not None:
            filled = [0 if value is None else value for value in values]
        return na.c_array_from_buffers(schema, len(values), [validity, array(typecode, filled)])

    return column


def _text(values: Sequence[Any]) -> CArray:
    texts = [b"" if value is None else value if type(value) is bytes else value.encode() for value in values]
    offsets = array("i", accumulate(map(len, texts), initial=0))
    return na.c_array_from_buffers(na.string(), len(texts), [_validity(values), offsets, b"".join(texts)])


def _boolean(values: Sequence[Any]) -> CArray:
    return na.c_array_from_buffers(na.bool_(), len(values), [_validity(values), _bits(map(bool, values))])


def _validity(values: Sequence[Any]) -> bytes | None:
    """Return a bit for each value, or None if none is NULL."""
    if None not in values:
        return None
    return _bits(value is not None for value in values)


def _bits(flags: Iterable[bool]) -> bytes:
    bits = bytearray()
    for position, flag in enumerate(flags):
        if position % 8 == 0:
            bits.append(0)
        if flag:
            bits[-1] |= 1 << position % 8
    return bytes(bits)


def _days(value: date) -> int:
    return (value - _EPOCH_DAY).days


def _microseconds(value: datetime) -> int:
    return (value - _EPOCH) // _MICROSECOND


_SCHEMA_OF: Final[dict[str, Any]] = {
    "BIGINT": na.int64(),
    "INTEGER": na.int32(),
    "DOUBLE": na.float64(),
    "VARCHAR": na.string(),
    "BOOLEAN": na.bool_(),
    "DATE": na.date32(),
    "TIMESTAMP WITH TIME ZONE": na.timestamp("us", "UTC"),
}
_COLUMN_OF: Final[dict[str, Callable[[Sequence[Any]], CArray]]] = {
    "BIGINT": _fixed("q", _SCHEMA_OF["BIGINT"]),
    "INTEGER": _fixed("i", _SCHEMA_OF["INTEGER"]),
    "DOUBLE": _fixed("d", _SCHEMA_OF["DOUBLE"]),
    "VARCHAR": _text,
    "BOOLEAN": _boolean,
    "DATE": _fixed("i", _SCHEMA_OF["DATE"], _days),
    "TIMESTAMP WITH TIME ZONE": _fixed("q", _SCHEMA_OF["TIMESTAMP WITH TIME ZONE"], _microseconds),
}
