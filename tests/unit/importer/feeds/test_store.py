"""Batches of FEED in the tables: merged by key, beside history, each message once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.importer.errors import WorseData
from services.importer.feeds import position
from services.importer.feeds.messages import decoded
from services.importer.feeds.store import StoredCounts
from services.importer.lake.live.stored_batch import LiveHour
from shared.bus.consumer.batch import MessageFailed
from shared.bus.feeds import live_messages
from shared.bus.feeds.live_messages import SnapshotPart, Strike, Webhook
from shared.errors import MalformedMessage
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import trading_day_of
from tests.support.importer.feeding import (
    CREATED_AT,
    OPEN_MS,
    FeedOnLake,
    a_snapshot,
    a_webhook,
    message_of,
    stream_message,
)
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.repository import GOLDEN
from tests.support.values import NOON, a_job

NQ = Partition("NQ_NDX", "gex_zero", trading_day_of(OPEN_MS))
STRIKES = "SELECT strike, gamma, oi_gamma, priors FROM gex_strikes ORDER BY timestamp, rowid"
COUNTS = "SELECT snapshots, strike_rows, last_sequence, exported_sequence FROM live_partitions"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.fixture
def feed(lake: LakeOnDisk) -> FeedOnLake:
    return FeedOnLake(lake.lake)


def test_a_snapshot_becomes_a_row_and_its_strikes(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    assert feed.put(a_snapshot(min_dte=0, max_priors=[[5000, 1.5]])) == StoredCounts(1, 1, 0)
    assert lake.rows(
        "SELECT timestamp, ticker, endpoint, spot_price, net_gex, min_dte, max_priors, source, job_id "
        "FROM gex_snapshots"
    ) == [(OPEN_MS, "NQ_NDX", "gex_zero", 5000.25, None, 0, "[[5000,1.5]]", "live", None)]
    assert lake.rows(STRIKES) == [(5000.0, 1.5, 2.5, "[1,2.5]"), (5005.0, -1.5, None, "[]")]
    assert lake.rows(COUNTS) == [(1, 2, 1, 0)]


def test_what_a_later_message_lacks_stays(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    majors = a_snapshot(
        part=SnapshotPart.MAJORS, spot_price=None, zero_gamma=4991.0, major_pos_vol=5010.0, strikes=None
    )
    feed.put(a_snapshot())
    feed.put(majors)
    columns = "SELECT spot_price, zero_gamma, major_pos_vol FROM gex_snapshots"
    assert lake.rows(columns) == [(5000.25, 4991.0, 5010.0)]
    assert len(lake.rows(STRIKES)) == 2
    assert feed.stored[1].tables.keys() == {"gex_snapshots"}


def test_strikes_are_replaced_as_a_whole(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_snapshot(), a_snapshot(1))
    feed.put(a_snapshot(strikes=[Strike(5010.0, 3.0)]))
    assert lake.rows(f"{STRIKES} LIMIT 1") == [(5010.0, 3.0, None, None)]
    assert lake.rows(COUNTS) == [(2, 3, 3, 0)]
    assert feed.stored[1].tables.keys() == {"gex_strikes"}


def test_an_unchanged_message_changes_nothing(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_snapshot(max_priors=[]))
    assert feed.put(a_snapshot(max_priors=[]), a_snapshot(strikes=[])) == StoredCounts(2, 0, 0)
    assert len(feed.stored) == 1
    assert lake.rows(COUNTS) == [(1, 2, 1, 0)]
    assert lake.rows("SELECT sequence FROM feed_position") == [(3,)]


def test_a_row_of_history_stays_as_it_is(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    lake.import_staged(lake.stage([a_record(0), a_record(1)], a_job()))
    before = lake.rows("FROM gex_snapshots ORDER BY timestamp"), lake.rows(STRIKES)
    assert feed.put(a_snapshot(0, spot_price=1.0)).snapshots == 0
    assert (lake.rows("FROM gex_snapshots ORDER BY timestamp"), lake.rows(STRIKES)) == before
    assert feed.put(a_snapshot(5)).snapshots == 1
    assert lake.rows(COUNTS) == [(1, 2, 2, 0)]


def test_an_import_replaces_live_rows(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_snapshot(0), a_snapshot(7), a_snapshot(7, endpoint="gex_one"))
    lake.import_staged(lake.stage([a_record(0), a_record(1)], a_job()))
    found = lake.rows("SELECT endpoint, source, count(*) FROM gex_snapshots GROUP BY ALL ORDER BY ALL")
    assert found == [("gex_one", "live", 1), ("gex_zero", "history", 2)]
    assert lake.rows(f"{COUNTS} WHERE endpoint = 'gex_zero'") == [(0, 0, 3, 3)]


def test_live_rows_do_not_make_a_file_worse(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    lake.import_staged(lake.stage([a_record(0), a_record(1)], a_job()))
    feed.put(*(a_snapshot(second) for second in range(10, 30)))
    job = a_job(base_url="https://hist.gex.bot/copy.json")
    with pytest.raises(WorseData, match="holds 2"):
        lake.import_staged(lake.stage([a_record(0)], job))
    lake.import_staged(lake.stage([a_record(0), a_record(2)], job))
    assert lake.rows("SELECT DISTINCT source FROM gex_snapshots") == [("history",)]


def test_priors_have_the_text_of_an_import(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    numbers = [1, -2, 0.1, 2.5, 1e-5, 1e-7, -1.25e300, 123456789.123, 0, None]
    strikes = [[5000.0, 1.5, 2.5, numbers], [5005, 1, 2, []]]
    record = a_record(0, strikes=strikes, max_priors=[[5000, 1.5], [5005.5, -3]])
    lake.import_staged(lake.stage([record], a_job()))
    feed.put(
        a_snapshot(
            endpoint="gex_one",
            strikes=[Strike(5000.0, 1.5, 2.5, numbers), Strike(5005.0, 1.0, 2.0, [])],
            max_priors=record["max_priors"],
        )
    )
    columns = "SELECT strike, gamma, oi_gamma, priors FROM gex_strikes WHERE endpoint ="
    assert lake.rows(f"{columns} 'gex_one'") == lake.rows(f"{columns} 'gex_zero'")
    assert len({text for (text,) in lake.rows("SELECT max_priors FROM gex_snapshots")}) == 1


def test_a_batch_that_comes_again_is_stored_once(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    batch = feed.batch(a_snapshot(), a_webhook())
    feed.store(batch)
    assert feed.store(batch) == StoredCounts()
    longer = replace(batch, messages=(*batch.messages, *feed.batch(a_webhook(1)).messages), last_sequence=3)
    assert feed.store(longer) == StoredCounts(1, 0, 1)
    assert lake.rows("SELECT payload_json FROM universal_webhooks ORDER BY ALL") == [
        ('{"number":0}',),
        ('{"number":1}',),
    ]


def test_a_stream_that_is_read_again_from_its_start_stores_nothing_twice(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    batch = feed.batch(a_snapshot(), a_webhook(), a_webhook(1))
    feed.store(batch)
    feed.position = feed.position.of_stream(CREATED_AT + timedelta(days=1), 3)
    assert feed.store(batch) == StoredCounts(3, 0, 0)
    assert lake.rows("SELECT sequence, sequence_base FROM feed_position") == [(3, 3)]
    feed.put(a_snapshot(1))
    assert feed.stored[-1].sequence == 7
    assert lake.rows(COUNTS) == [(2, 4, 7, 0)]


def test_a_webhook_is_counted_in_its_hour(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    later = NOON + timedelta(hours=1)
    feed.put(message_of(a_webhook()), message_of(a_webhook(), later), message_of(a_webhook(1), later))
    expected = [("universal_webhooks", NOON, 1, 3, 0), ("universal_webhooks", later, 2, 3, 0)]
    assert lake.rows("FROM live_hours ORDER BY hour") == expected
    assert feed.stored[0].hours == {LiveHour("universal_webhooks", hour) for hour in (NOON, later)}
    assert len(feed.rows[0]["universal_webhooks"]) == 3


def test_a_trade_is_asked_for_by_sql(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    frame = json.loads((GOLDEN / "vendor/uw_option_trade_frame.json").read_text())
    feed.put(Webhook(topic=frame[2], event=frame[3], payload=frame[4]["data"]))
    trade = "SELECT ticker, type, strike, expiry, price, size FROM option_trades_events WHERE ticker = 'ARM'"
    assert lake.rows(trade) == [("ARM", "call", 118.0, date(2026, 1, 16), 2.8, 500)]
    assert {hour.table for hour in feed.stored[0].hours} == {"universal_webhooks", "option_trades_events"}


def test_what_a_batch_hands_on_are_the_rows_as_they_are_now(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_snapshot(), a_snapshot(1))
    feed.put(a_snapshot(1, spot_price=None, zero_gamma=1.0, strikes=None), a_snapshot(2, ticker="NDX"))
    assert feed.stored[1].partitions == {NQ, replace(NQ, ticker="NDX")}
    snapshots = lake.rows(
        "SELECT *, 4 FROM gex_snapshots WHERE zero_gamma = 1 OR ticker = 'NDX' ORDER BY ALL"
    )
    assert feed.rows[1]["gex_snapshots"] == snapshots
    assert feed.rows[1]["gex_strikes"] == lake.rows(
        "SELECT *, 4 FROM gex_strikes WHERE ticker = 'NDX' ORDER BY ALL"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"endpoint": "state_gex_zero"}, "endpoint"),
        ({"endpoint": "../x"}, "endpoint"),
        ({"ticker": "a/b"}, "ticker"),
        ({"ticker": "spx"}, "capitals"),
        ({"timestamp": 10**18}, "timestamp"),
        ({"min_dte": 2**31}, "min_dte"),
    ],
)
def test_a_message_that_no_row_can_hold_is_refused(changes: dict[str, Any], problem: str) -> None:
    message = message_of(a_snapshot(**changes))
    with pytest.raises(MalformedMessage, match=problem):
        decoded(message.subject, live_messages.encode(message))


def test_a_refused_message_is_named_and_changes_nothing(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    batch = feed.batch(a_snapshot())
    broken = stream_message(2, b"{")
    with pytest.raises(MessageFailed) as failed:
        feed.store(replace(batch, messages=(*batch.messages, broken), last_sequence=2))
    assert failed.value.message is broken
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(0,)]


def test_the_position_survives_a_restart(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_snapshot())
    lake.reopen()
    with lake.lake.reading() as connection:
        assert position.read(connection, "FEED") == feed.position
        assert position.read(connection, "BARS") is None


def test_the_values_of_a_snapshot_are_the_columns_of_the_table(lake: LakeOnDisk) -> None:
    columns = {name for name, *_ in lake.rows("DESCRIBE gex_snapshots")}
    fields = {field.name for field in msgspec.structs.fields(live_messages.Snapshot)}
    assert columns - {"source", "job_id"} == fields - {"part", "strikes"}
