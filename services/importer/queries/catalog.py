"""What queries see in place of the database: its tables and views, over Parquet files.

The catalog is a DuckDB file with views only, so any number of processes can open it while the importer has
the database open. A view reads the files that it finds when it is queried: the Parquet files of the
partitions, the copies of their records, and copies of the small tables, which are made when a query needs
them and the database was written since.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import duckdb

from services.importer.errors import trouble
from services.importer.lake.database import Lake
from services.importer.lake.statements import quoted
from services.importer.lake.views import FROM_PATH, KINDS, columns_by_table, read_files

_OF_ROWS: Final = {kind.table: kind for kind in KINDS}
_OF_RECORDS: Final = {kind.records: kind for kind in KINDS}
_NAME: Final = "catalog.duckdb"


class Catalog:
    """Keeps the catalog of one lake; its methods may be called from any thread."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._folder = lake.paths.catalog
        self._lock = threading.Lock()
        self._made_of: tuple[bool, ...] | None = None
        self._copied: dict[str, int] = {}
        self._small: dict[str, set[str]] = {}
        """The small tables, each with the names by which a query may mean it."""

    def current(self, query: str) -> Path:
        """Return the catalog, with the small tables that a query names as they are now.

        Raises:
            StorageTrouble: it cannot be written.
        """
        try:
            with self._lock, self._lake.reading() as connection:
                self._make(connection)
                folded = query.casefold()
                for table, names in self._small.items():
                    if any(name in folded for name in names):
                        self._copy(connection, table)
        except (duckdb.Error, OSError) as error:
            raise trouble("preparing the query", error) from error
        return self._folder / _NAME

    def _make(self, connection: duckdb.DuckDBPyConnection) -> None:
        found = tuple(self._lake.has_files(kind) for kind in KINDS)
        if found == self._made_of:
            return
        tables = _tables(connection)
        views = _views(connection)
        self._small = {
            table: {table, *(name for name, sql in views.items() if table in sql)}
            for table in tables
            if table not in _OF_ROWS and table not in _OF_RECORDS
        }
        for table in self._small:
            self._copy(connection, table)
        hidden = self._folder / f"{_NAME}.new"
        hidden.unlink(missing_ok=True)
        with duckdb.connect(str(hidden)) as catalog:
            # In one transaction, and by one call: hundreds of comments would each be flushed to the disk.
            statements = self._statements(connection, tables, views)
            catalog.execute(";\n".join(("BEGIN", *statements, "COMMIT")))
        hidden.replace(self._folder / _NAME)
        self._made_of = found

    def _copy(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        writes = self._lake.writes
        if self._copied.get(table) == writes:
            return
        hidden = self._folder / f"{table}.parquet.new"
        connection.execute(f"COPY {table} TO {quoted(str(hidden))} (FORMAT parquet, COMPRESSION lz4)")
        hidden.replace(self._folder / f"{table}.parquet")
        self._copied[table] = writes

    def _statements(
        self, connection: duckdb.DuckDBPyConnection, tables: Iterable[str], views: dict[str, str]
    ) -> Iterator[str]:
        columns = columns_by_table(connection)
        yield from _macros(connection)
        for table in tables:
            yield f"CREATE VIEW {table} AS {self._source(table, columns[table])}"
        yield from views.values()
        for name in (*tables, *views):
            yield from _comments(connection, name, columns[name])

    def _source(self, table: str, columns: dict[str, tuple[str, str]]) -> str:
        """Return the query that stands for a table."""
        paths = self._lake.paths
        if (kind := _OF_RECORDS.get(table)) is not None:
            pattern = f"{paths.records_root}/*/*/*.{table}.parquet"
        elif (kind := _OF_ROWS.get(table)) is not None:
            pattern = f"{paths.parquet_root}/*/*/*.{kind.kind}.parquet"
        else:
            return f"FROM {quoted(str(self._folder / f'{table}.parquet'))}"
        if not self._lake.has_files(kind):
            typed = [f'CAST(NULL AS {of_type}) AS "{name}"' for name, (of_type, _) in columns.items()]
            return f"SELECT {', '.join(typed)} WHERE false"
        names = {name: FROM_PATH.get(name, f'"{name}"') for name in columns}
        listed = ", ".join(f'{source} AS "{name}"' for name, source in names.items())
        return f"SELECT {listed} FROM {read_files(pattern, columns)}"  # noqa: S608 (names of ours)


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() AND NOT temporary ORDER BY 1"
    ).fetchall()
    return [name for (name,) in found]


def _views(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the statements that make the views, by their names, in the order in which they were made."""
    found = connection.execute(
        "SELECT view_name, sql FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY view_oid"
    ).fetchall()
    return dict(found)


def _macros(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    found = connection.execute(
        "SELECT function_name, parameters, macro_definition, comment FROM duckdb_functions() "
        "WHERE function_type = 'macro' AND NOT internal"
    ).fetchall()
    for name, parameters, definition, comment in found:
        yield f"CREATE MACRO {name}({', '.join(parameters)}) AS {definition}"
        if comment:
            yield f"COMMENT ON MACRO {name} IS {quoted(comment)}"


def _comments(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, tuple[str, str]]
) -> Iterator[str]:
    found = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE table_name = $name "
        "UNION ALL SELECT comment FROM duckdb_views() WHERE view_name = $name",
        {"name": name},
    ).fetchall()
    for (comment,) in found:
        if comment:
            yield f"COMMENT ON VIEW {name} IS {quoted(comment)}"
    for column, (_, comment) in columns.items():
        if comment:
            yield f'COMMENT ON COLUMN {name}."{column}" IS {quoted(comment)}'
