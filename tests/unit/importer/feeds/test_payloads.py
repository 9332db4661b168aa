"""A payload of any generation, read by intake and stored by the importer, is its row field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from services.importer.feeds.merge import VALUES
from services.intake.live.payload import read_snapshot
from shared.bus.feeds.live_messages import Snapshot
from tests.support.examples import examples
from tests.support.importer.feeding import FeedOnLake, message_of
from tests.support.importer.lake import LakeOnDisk
from tests.support.live_payloads import NOW, Payload, payloads

TABLES = ("gex_snapshots", "gex_strikes", "live_partitions", "feed_position")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path_factory.mktemp("lake"))
    yield lake
    lake.close()


def stored(lake: LakeOnDisk, snapshot: Snapshot) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Return the one row, and its strikes."""
    names = ", ".join(VALUES)
    rows = lake.rows(f"SELECT ticker, endpoint, timestamp, source, {names} FROM gex_snapshots")
    assert [row[:4] for row in rows] == [(snapshot.ticker, snapshot.endpoint, snapshot.timestamp, "live")]
    strikes = lake.rows("SELECT strike, gamma, oi_gamma, priors FROM gex_strikes ORDER BY rowid")
    return dict(zip(VALUES, rows[0][4:], strict=True)), strikes


@settings(max_examples=examples(40), deadline=None)
@given(payloads())
def test_the_stored_row_equals_the_payload(lake: LakeOnDisk, payload: Payload) -> None:
    with lake.lake.writing() as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
    FeedOnLake(lake.lake).put(message_of(read_snapshot(payload.body, NOW)))
    row, strikes = stored(lake, payload.expected)
    for name in VALUES:
        expected = getattr(payload.expected, name)
        found = row[name]
        assert found == (text(expected) if name == "max_priors" else expected), name
    assert strikes == [
        (each.strike, each.gamma, each.oi_gamma, text(each.priors)) for each in payload.expected.strikes or ()
    ]


def text(value: Any) -> str | None:
    """Return an array as Python writes it in JSON, without blanks."""
    return None if value is None else json.dumps(value, separators=(",", ":"))
