"""Queries while batches are stored, merged and exported: no row is missing, and none is read twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import duckdb
import pytest

from services.importer.feeds.export import export_live
from services.importer.lake.statements import set_variables
from services.importer.queries.catalog import Catalog
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.live import LiveFeed, LiveSnapshot

BATCHES: Final = 120
EXPORTED_AT_ONCE: Final = 25
"""More than are merged."""
AT: Final = datetime(2025, 11, 14, 14, 59, tzinfo=UTC)
"""The hour changes within the test."""
COUNTS: Final = """
    SELECT
        (SELECT (count(*), count(DISTINCT timestamp)) FROM gex_snapshots WHERE source = 'live'),
        (SELECT (count(*), count(DISTINCT timestamp)) FROM gex_strikes WHERE ticker = 'SPX'),
        (SELECT (count(*), count(DISTINCT id)) FROM universal_webhooks),
        (SELECT count(*) FROM gex_snapshots WHERE source = 'history'),
        (SELECT count(*) FROM gex_strikes AS strike WHERE ticker = 'SPX' AND strike <> gamma)
"""


class Reader:
    """Queries the lake as the process of a query does, but in this one."""

    def __init__(self, lake: LakeOnDisk) -> None:
        self._lake = lake.lake
        self._catalog = Catalog(lake.lake)

    def read(self, query: str) -> tuple[Any, ...]:
        with self._lake.live_files.lease() as live:
            path = self._catalog.current(query, live)
            with duckdb.connect(str(path), read_only=True) as connection:
                set_variables(connection, self._catalog.variables(live))
                return connection.execute(query).fetchall()[0]


def in_thread(work: Callable[[], None], errors: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (reported by the test)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.slow
def test_queries_see_every_stored_row_once_while_rows_arrive_and_are_exported(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    feed, reader = LiveFeed(lake), Reader(lake)
    errors: list[BaseException] = []
    finished = threading.Event()

    def store() -> None:
        try:
            for number in range(BATCHES):
                again = LiveSnapshot(max(0, number - 2), 2.0, (2.0,), ticker="SPX")
                new = LiveSnapshot(number, 1.0, (1.0,), ticker="SPX")
                beside = LiveSnapshot(100 + number, 1.0)
                feed.store(
                    [again, new, beside] if number else [new, beside],
                    [(str(number), AT + timedelta(seconds=number))],
                )
        finally:
            finished.set()

    def export() -> None:
        while not finished.is_set():
            reached = feed.stored
            export_live(lake.lake)
            while feed.stored < reached + EXPORTED_AT_ONCE and not finished.wait(0.01):
                pass

    threads = [in_thread(work, errors) for work in (store, export)]
    queries = 0
    while not finished.is_set():
        least = feed.stored
        snapshots, strikes, webhooks, history, torn = reader.read(COUNTS)
        most = feed.stored + 1
        assert history == 3
        assert torn == 0
        assert least <= strikes[0] <= most
        assert strikes[0] == strikes[1]
        assert least <= webhooks[0] <= most
        assert webhooks[0] == webhooks[1]
        assert 2 * least <= snapshots[0] <= 2 * most
        queries += 1
    for thread in threads:
        thread.join()
    assert not errors
    assert queries > 5
    export_live(lake.lake)
    assert not list(lake.settings.paths.live.iterdir())
    assert reader.read(COUNTS)[1:3] == ((BATCHES, BATCHES), (BATCHES, BATCHES))
