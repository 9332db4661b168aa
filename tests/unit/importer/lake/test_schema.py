"""A fresh lake has the schema of the golden file: tables, columns, views, macros and their comments."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from tests.support.importer.lake import LakeOnDisk
from tests.support.repository import GOLDEN

SCHEMA: Final = GOLDEN / "schema.sql"
_FOLDER: Final = "/lake"
"""Stands in the golden file for the data folder, which views over Parquet name."""

_TABLES: Final = """
    SELECT sql || coalesce(' -- ' || comment, '') FROM duckdb_tables()
    WHERE NOT internal ORDER BY schema_name, table_name
"""
_COLUMNS: Final = """
    SELECT '-- ' || concat_ws(' | ', table_name, column_name, data_type, is_nullable,
        coalesce(column_default, 'no default'), coalesce(comment, 'no comment'))
    FROM duckdb_columns() WHERE NOT internal ORDER BY schema_name, table_name, column_index
"""
_VIEWS: Final = """
    SELECT sql || coalesce(' -- ' || comment, '') FROM duckdb_views()
    WHERE NOT internal ORDER BY schema_name, view_name
"""
_MACROS: Final = """
    SELECT '-- ' || concat_ws(' | ', function_type, function_name, array_to_string(parameters, ', '),
        macro_definition, coalesce(comment, 'no comment'))
    FROM duckdb_functions() WHERE NOT internal ORDER BY function_name, parameters
"""
_OTHERS: Final = """
    SELECT '-- ' || kind || ' | ' || sql FROM (
        SELECT 'index' AS kind, sql FROM duckdb_indexes()
        UNION ALL SELECT 'sequence', sql FROM duckdb_sequences()
        UNION ALL SELECT 'type', type_name FROM duckdb_types() WHERE NOT internal
    ) ORDER BY ALL
"""


def schema_of(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Return the schema of an open database, whose data folder is ``folder``, as text."""
    queries = (_TABLES, _COLUMNS, _VIEWS, _MACROS, _OTHERS)
    lines = [line for query in queries for (line,) in connection.execute(query).fetchall()]
    return "\n".join(lines).replace(str(folder), _FOLDER) + "\n"


def test_a_fresh_lake_has_the_schema_of_the_golden_file(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    lake.reopen()  # as it is stored, and not as it was parsed
    with lake.lake.reading() as connection:
        assert schema_of(connection, tmp_path) == SCHEMA.read_text()
    lake.close()
