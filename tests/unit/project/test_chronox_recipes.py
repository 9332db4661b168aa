"""The queries of docs/chronox.md, as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from services.importer.queries.catalog import Catalog
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk
from tests.support.recipes import recipes_of
from tests.support.repository import ROOT

QUERIES: Final = [recipe.code for recipe in recipes_of(ROOT / "docs/chronox.md") if recipe.language == "sql"]


def test_the_queries_of_the_page_return_rows(tmp_path: Path) -> None:
    """Both tables and the macro are those that queries of clients have."""
    lake = LakeOnDisk(tmp_path)
    now = datetime.now(UTC)
    BarsOnLake(lake.lake).put(bars(a_bar(), a_bar(1), at=now), bars(a_bar(), symbol="MSFT", at=now))
    found, catalog = [], Catalog(lake.lake)
    for query in QUERIES:
        with duckdb.connect(str(catalog.current(query)), read_only=True) as connection:
            found.append(connection.execute(query).fetchall())
    lake.close()
    gamma, rate = found
    bar = a_bar()
    assert gamma == [
        (bar.timestamp, bar.close, bar.volume, None),
        (bar.timestamp + 60_000, bar.close, bar.volume, None),
    ]
    assert [(symbol, count) for symbol, _, count in rate] == [("AAPL", 2), ("MSFT", 1)]
