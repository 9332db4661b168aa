"""What queries see in place of the database: its tables and views, over Parquet files.

The catalog is a DuckDB file with views only, so any number of processes can open it while the importer has
the database open. A view reads the files that it finds when it is queried: the Parquet files of the
partitions, the copies of their records, and copies of the small tables, which are made when a query needs
them and the database was written since.

There are two catalogs: in one, the views read the live rows too, from files that variables list. It is a copy
of the other with the views that read such files in place of theirs. Both are made together, so that queries
go on while the disk is full.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import duckdb

from services.importer.errors import trouble
from services.importer.lake.database import Lake
from services.importer.lake.live.files import LiveView
from services.importer.lake.live.tables import CHAINS, LIVE_TABLES, WEBHOOKS
from services.importer.lake.schema.views import FROM_PATH, KINDS, columns_by_table, read_files
from services.importer.lake.statements import quoted, set_variables
from services.importer.queries.bar_views import BARS, RECENT, bars_query
from services.importer.queries.live_views import VARIABLES, columns_to_read, rows_of_table, with_live_rows

_OF_ROWS: Final = {kind.table: kind for kind in KINDS}
_OF_RECORDS: Final = {kind.records: kind for kind in KINDS}
_OF_FILES: Final = (*WEBHOOKS, *CHAINS)
_PATH_OF_CHAINS: Final = {
    "market_symbol": "parse_path(filename)[-3]",
    "snapshot_date": "CAST(try_strptime(parse_path(filename)[-2], '%Y%m%d') AS DATE)",
}
_WORD: Final = re.compile(r"\w+")
_NAME: Final = "catalog.duckdb"
_LIVE_NAME: Final = "live.duckdb"


class Catalog:
    """Keeps the catalog of one lake; its methods may be called from any thread."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._folder = lake.paths.catalog
        self._lock = threading.Lock()
        self._made_of: tuple[bool, ...] | None = None
        self._bars_found = False
        self._copied: dict[str, int] = {}
        self._small: dict[str, set[str]] = {}
        """The small tables, each with the names by which a query may mean it."""

    def current(self, query: str, live: LiveView | None = None) -> Path:
        """Return the catalog, with the small tables that a query names as they are now.

        Args:
            query: its text.
            live: the files with live rows, if the query reads any; taken before this call.

        Raises:
            StorageTrouble: it cannot be written.
        """
        try:
            with self._lock, self._lake.reading() as connection:
                self._make(connection)
                # Whole words: a query of gex_snapshots does not mean the table snapshots.
                words = set(_WORD.findall(query.casefold()))
                for table, names in self._small.items():
                    if not words.isdisjoint(names):
                        self._copy(connection, table)
        except (duckdb.Error, OSError) as error:
            raise trouble("preparing the query", error) from error
        return self._folder / (_LIVE_NAME if live else _NAME)

    def variables(self, live: LiveView) -> dict[str, list[str]]:
        """Return the variables that the views read: a list without a file names one without rows."""
        return {**self._no_live_rows(), **live.variables} if live else {}

    def _no_live_rows(self) -> dict[str, list[str]]:
        return {
            name: [] if name.endswith("_hidden") else [str(self._empty(table))]
            for name, table in VARIABLES.items()
        }

    def _make(self, connection: duckdb.DuckDBPyConnection) -> None:
        found = (
            *(self._lake.has_files(kind) for kind in KINDS),
            *(self._lake.live_files.has_files(table) for table in _OF_FILES),
            self._lake.has_archived_jobs,
            self._has_bars(),
        )
        if found == self._made_of:
            return
        tables = _tables(connection)
        views = _views(connection)
        self._small = {
            table: _names_of(table, views)
            for table in tables
            if table not in {*_OF_ROWS, *_OF_RECORDS, *_OF_FILES, BARS}
        }
        self._small[RECENT] |= {BARS, *(name for name, sql in views.items() if BARS in sql)}
        for table in self._small:
            self._copy(connection, table)
        self._write(_NAME, self._statements(connection, tables, views))
        self._make_live(connection)
        self._made_of = found

    def _make_live(self, connection: duckdb.DuckDBPyConnection) -> None:
        for table in LIVE_TABLES:
            query = f"SELECT *, 0::BIGINT AS sequence FROM {table} WHERE false"  # noqa: S608 (of ours)
            connection.execute(f"COPY ({query}) TO {quoted(str(self._empty(table)))} (FORMAT parquet)")
        self._write(_LIVE_NAME, self._live_statements(connection), _NAME)

    def _write(self, name: str, statements: Iterable[str], copy_of: str | None = None) -> None:
        hidden = self._folder / f"{name}.new"
        hidden.unlink(missing_ok=True)
        if copy_of:
            shutil.copyfile(self._folder / copy_of, hidden)
        with duckdb.connect(str(hidden)) as catalog:
            set_variables(catalog, self._no_live_rows() if copy_of else {})
            # Hundreds of comments: each would be flushed to the disk, and optimized for longer than executed.
            catalog.execute(";\n".join(("PRAGMA disable_optimizer", "BEGIN", *statements, "COMMIT")))
        hidden.replace(self._folder / name)

    def _empty(self, table: str) -> Path:
        return self._folder / f"no_live_rows.{table}.parquet"

    def _copy(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        writes = self._lake.writes_to(table)
        if self._copied.get(table) == writes:
            return
        hidden = self._folder / f"{table}.parquet.new"
        connection.execute(f"COPY {table} TO {quoted(str(hidden))} (FORMAT parquet, COMPRESSION lz4)")
        hidden.replace(self._folder / f"{table}.parquet")
        self._copied[table] = writes

    def _statements(
        self, connection: duckdb.DuckDBPyConnection, tables: list[str], views: dict[str, str]
    ) -> Iterator[str]:
        columns = columns_by_table(connection)
        yield from _macros(connection)
        for table in tables:
            yield f"CREATE VIEW {table} AS {self._source(table, columns[table]) or _no_rows(columns[table])}"
        yield from views.values()
        yield from _comments(connection, (*tables, *views), columns)

    def _live_statements(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        columns = columns_by_table(connection)
        for table in LIVE_TABLES:
            source = with_live_rows(table, columns[table], self._source(table, columns[table]))
            yield f"CREATE OR REPLACE VIEW {table} AS {source}"
        yield from _comments(connection, LIVE_TABLES, columns)

    def _source(self, table: str, columns: dict[str, tuple[str, str]]) -> str | None:
        """Return the query that stands for a table; None if it has no files yet."""
        paths = self._lake.paths
        if (kind := _OF_RECORDS.get(table)) is not None:
            pattern = f"{paths.records_root}/*/*/*.{table}.parquet"
        elif (kind := _OF_ROWS.get(table)) is not None:
            pattern = f"{paths.parquet_root}/*/*/*.{kind.kind}.parquet"
        elif table == BARS:
            return self._bars_query(columns)
        elif table in WEBHOOKS:
            pattern = f"{paths.webhooks_root}/*/*.{table}.parquet"
        elif table in CHAINS:
            pattern = f"{paths.chains_root}/*/*/snapshot*.parquet"
        else:
            return f"FROM {quoted(str(self._folder / f'{table}.parquet'))}"
        has_files = self._lake.has_files(kind) if kind else self._lake.live_files.has_files(table)
        if not has_files:
            return None
        of_path = FROM_PATH if kind else _PATH_OF_CHAINS if table in CHAINS else {}
        names = {name: of_path.get(name, f'"{name}"') for name in columns}
        listed = ", ".join(f'{source} AS "{name}"' for name, source in names.items())
        files = rows_of_table(table, read_files(pattern, columns_to_read(table, columns)))
        return f"SELECT {listed} FROM {files}"  # noqa: S608 (names of ours)

    def _bars_query(self, columns: dict[str, tuple[str, str]]) -> str:
        pattern = f"{self._lake.paths.bars_root}/*/*.bars.parquet"
        files = read_files(pattern, columns) if self._has_bars() else None
        return bars_query(columns, quoted(str(self._folder / f"{RECENT}.parquet")), files)

    def _has_bars(self) -> bool:
        self._bars_found = self._bars_found or any(self._lake.paths.bars_root.glob("*/*.bars.parquet"))
        return self._bars_found


def _no_rows(columns: dict[str, tuple[str, str]]) -> str:
    typed = [f'CAST(NULL AS {of_type}) AS "{name}"' for name, (of_type, _) in columns.items()]
    return f"SELECT {', '.join(typed)} WHERE false"


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() AND NOT temporary ORDER BY 1"
    ).fetchall()
    return [name for (name,) in found]


def _views(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the statements that make the views, by their names, each after those that it reads."""
    found = connection.execute(
        "SELECT view_name, sql FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY view_oid"
    ).fetchall()
    views = dict(found)
    # A view that was made again is later than those that read it.
    reads = {
        name: {other for other in views if other != name and _mentions(sql, other)} for name, sql in found
    }
    return {name: views[name] for name in TopologicalSorter(reads).static_order()}


def _mentions(sql: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", sql) is not None


def _names_of(table: str, views: dict[str, str]) -> set[str]:
    """Return the names by which a query may mean a table: its own, and those of the views that read it."""
    names = {table}
    for view, sql in views.items():
        if any(_mentions(sql, name) for name in names):
            names.add(view)
    return names


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
    connection: duckdb.DuckDBPyConnection,
    names: Iterable[str],
    columns: dict[str, dict[str, tuple[str, str]]],
) -> Iterator[str]:
    found = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = current_database() "
        "UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE database_name = current_database()"
    ).fetchall()
    comments = dict(found)
    for name in names:
        if comments[name]:
            yield f"COMMENT ON VIEW {name} IS {quoted(comments[name])}"
        for column, (_, comment) in columns[name].items():
            if comment:
                yield f'COMMENT ON COLUMN {name}."{column}" IS {quoted(comment)}'
