"""The registry of formats agrees with the endpoints, the tables, the Parquet files and the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import pytest

from services.importer.formats import FORMATS, format_of
from services.importer.formats.format import Format, Kind
from services.importer.lake.schema.migrate import migrate
from shared.gexbot.partition import ENDPOINTS, PACKAGES, Partition, endpoint_of
from shared.paths import LakePaths, parquet_kind
from tests.support.repository import ROOT

DOCUMENT: Final = (ROOT / "docs/formats.md").read_text()
TYPES: Final = {Kind.NUMBER: "DOUBLE", Kind.INTEGER: "INTEGER"}
KEY: Final = {"timestamp": "BIGINT", "ticker": "VARCHAR", "endpoint": "VARCHAR"}
ALL: Final = [pytest.param(form, id=form.table) for form in FORMATS]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        migrate(connection)
        yield connection


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
    ).fetchall()
    return dict(rows)


def test_every_endpoint_has_one_format() -> None:
    assert sorted(endpoint for form in FORMATS for endpoint in form.endpoints) == sorted(ENDPOINTS)
    assert all(endpoint in format_of(endpoint).endpoints for endpoint in ENDPOINTS)


@pytest.mark.parametrize("form", ALL)
def test_a_formats_endpoints_are_categories_of_its_package(form: Format) -> None:
    of_package = {endpoint_of(form.package, category) for category in PACKAGES[form.package]}
    assert set(form.endpoints) <= of_package


@pytest.mark.parametrize("form", ALL)
def test_the_tables_have_the_columns_of_the_format(
    connection: duckdb.DuckDBPyConnection, form: Format
) -> None:
    fields = {field.stored_as: TYPES.get(field.kind, "VARCHAR") for field in form.fields}
    marks = {**{name: "VARCHAR" for name, _ in form.constants}, "job_id": "VARCHAR"}
    only_live = {"net_gex": "DOUBLE"} if form.package == "classic" else {}
    assert columns(connection, form.table) == {**KEY, **fields, **marks, **only_live}
    if form.rows is not None:
        parts = {part.stored_as: TYPES.get(part.kind, "VARCHAR") for part in form.rows.parts}
        assert columns(connection, form.rows.table) == {**KEY, **parts}
    assert set(form.parquet_columns) <= set(columns(connection, form.parquet_table))


@pytest.mark.parametrize("form", ALL)
def test_every_column_says_what_it_is(connection: duckdb.DuckDBPyConnection, form: Format) -> None:
    silent = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE list_contains(?, table_name) AND comment IS NULL",
        [list(form.tables)],
    ).fetchall()
    assert silent == []


@pytest.mark.parametrize("form", ALL)
def test_the_document_names_every_field_and_where_it_goes(form: Format) -> None:
    named = set(re.findall(r"`([^`]+)`", DOCUMENT))
    # Of orderflow some names are written as a rule: those with one_ before them.
    known = {name.removeprefix("one_") if form.rows is None else name for name in form.known}
    known -= {"mcall", "mput"}
    assert sorted(known - named) == []
    assert {*form.tables, form.history} <= named
    assert {f"<YYYYMMDD>.{parquet_kind(endpoint)}.parquet" for endpoint in form.endpoints} <= named


def test_no_two_formats_share_a_table_or_a_kind_of_file() -> None:
    paths = LakePaths.under(Path("/lake"))
    tables = [table for form in FORMATS for table in form.tables]
    names = [
        {paths.parquet(Partition("SPX", each, date(2025, 11, 14))).name for each in form.endpoints}
        for form in FORMATS
    ]
    assert len(set(tables)) == len(tables)
    assert [len(of_format) for of_format in names] == [1] * len(FORMATS)
    assert len(set.union(*names)) == len(FORMATS)
