"""The views over the Parquet tree: the files as they are, and as a history by ticker, endpoint and day.

A view reads the files that its glob finds when it is queried, so it is made once, with the first file. It
names the columns itself: a query opens only the files that it needs, and a damaged file fails no query of
other days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from services.importer.formats import FORMATS
from services.importer.lake.statements import quoted, transaction
from shared.paths import parquet_kind

_DAY: Final = "CAST(try_strptime(parse_filename(filename)[1:8], '%Y%m%d') AS DATE)"
FROM_PATH: Final = {"ticker": "parse_path(filename)[-3]", "endpoint": "parse_path(filename)[-2]"}
"""Columns that are read from the path: a filter on them opens no other file."""


@dataclass(frozen=True)
class ParquetKind:
    """The Parquet files of one kind, and the two views over them.

    Args:
        kind: the middle part of their names.
        endpoints: the folders that they are in.
        table: the table whose columns they have.
        records: the table of the records, of which there are copies.
        columns: which of its columns, in their order; ``ticker`` and ``endpoint`` among them.
        plain: the view with these columns.
        history: the view with ``trading_day`` before them, and ticker, endpoint and day from the path.
    """

    kind: str
    endpoints: tuple[str, ...]
    table: str
    records: str
    columns: tuple[str, ...]
    plain: str
    history: str


KINDS: Final = tuple(
    ParquetKind(
        kind=parquet_kind(form.endpoints[0]),
        endpoints=form.endpoints,
        table=form.parquet_table,
        records=form.table,
        columns=form.parquet_columns,
        plain=f"parquet_{form.parquet_table}",
        history=form.history,
    )
    for form in FORMATS
)


class ParquetViews:
    """Keeps the views over one Parquet tree.

    Args:
        root: the folder that holds a folder for each ticker.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[ParquetKind, bool] = {}

    def outdated(self) -> list[ParquetKind]:
        """Return the kinds whose views have to be made: all at first, later those with their first file."""
        return [
            kind for kind in KINDS if not self._made.get(kind) and self._made.get(kind) != self._has(kind)
        ]

    def make(self, connection: duckdb.DuckDBPyConnection, kinds: list[ParquetKind]) -> None:
        """Make the views of some kinds, in place of those that exist.

        Raises:
            duckdb.Error: they cannot be made, and are unchanged.
        """
        columns = columns_by_table(connection)
        for kind in kinds:
            found = self._has(kind)
            with transaction(connection):
                for statement in _statements(self._root, kind, columns[kind.table], found=found):
                    connection.execute(statement)
            self._made[kind] = found

    def has_files(self, kind: ParquetKind) -> bool:
        """Return whether the views of a kind read files."""
        return self._made.get(kind, False)

    def _has(self, kind: ParquetKind) -> bool:
        return any(
            path
            for endpoint in kind.endpoints
            for path in self._root.glob(f"*/{endpoint}/*.{kind.kind}.parquet")
        )


def _statements(
    root: Path, kind: ParquetKind, every: dict[str, tuple[str, str]], *, found: bool
) -> Iterator[str]:
    known = {name: every[name] for name in kind.columns}
    pattern = f"{root}/*/*/*.{kind.kind}.parquet"
    source = read_files(pattern, known) if found else _no_files(kind)
    plain = ", ".join(kind.columns)
    history = ", ".join(f"{FROM_PATH.get(name, name)} AS {name}" for name in kind.columns)
    for view, columns in ((kind.plain, plain), (kind.history, f"{_DAY} AS trading_day, {history}")):
        yield f"CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {source}"  # noqa: S608 (quoted)
    yield from _comments(kind, known)


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, tuple[str, str]]:
    """Return the type and the comment of each column of a table or view."""
    return columns_by_table(connection)[table]


def columns_by_table(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the type and the comment of each column of every table and view."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE database_name = current_database() ORDER BY table_name, column_index"
    ).fetchall()
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for table, name, data_type, comment in rows:
        found.setdefault(table, {})[name] = (data_type, comment)
    return found


def read_files(pattern: str, columns: dict[str, tuple[str, str]]) -> str:
    """Return the SQL that reads Parquet files, with the name of each in the column ``filename``.

    Args:
        pattern: a glob; it must match a file.
        columns: the type and the comment of each column.
    """
    return f"read_parquet({quoted(pattern)}, filename = true, {_options(columns)})"


def read_listed_files(variable: str, columns: dict[str, tuple[str, str]]) -> str:
    """Return the SQL that reads the Parquet files that a variable of the session lists, at least one.

    Args:
        variable: its name.
        columns: the type and the comment of each column.
    """
    return f"read_parquet(getvariable({quoted(variable)}), {_options(columns)})"


def _options(columns: dict[str, tuple[str, str]]) -> str:
    schema = ", ".join(
        f"{quoted(name)}: {{name: {quoted(name)}, type: {quoted(data_type)}, default_value: NULL}}"
        for name, (data_type, _) in columns.items()
    )
    # A folder above the lake may be called x=y: that is no column of ours.
    return f"hive_partitioning = false, schema = MAP {{{schema}}}"


def _no_files(kind: ParquetKind) -> str:
    return f"(SELECT *, '' AS filename FROM {kind.table} WHERE false)"  # noqa: S608 (constants)


def _comments(kind: ParquetKind, known: dict[str, tuple[str, str]]) -> Iterator[str]:
    yield f"COMMENT ON VIEW {kind.plain} IS 'The Parquet files of all partitions; rows as in {kind.table}'"
    yield (
        f"COMMENT ON VIEW {kind.history} IS 'The Parquet files of all partitions, with ticker, endpoint and "
        "trading day from the path: a filter on these opens no other file'"
    )
    yield f"COMMENT ON COLUMN {kind.history}.trading_day IS 'Date in New York; from the path'"
    for view in (kind.plain, kind.history):
        for name, (_, comment) in known.items():
            yield f"COMMENT ON COLUMN {view}.{name} IS {quoted(comment)}"
