"""Batches of CHRONOX in the tables: merged by rank, each message once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.importer.bars.store import BarCounts
from services.importer.lake.live import units as live_units
from shared.bus.consumer.batch import MessageFailed, OrderLost
from shared.bus.feeds.bar_messages import ChronoxMessage, snapshot_message
from shared.massive.bars import Bar, BarSource
from shared.massive.snapshots import DayBar, LastQuote, LastTrade, MarketSnapshot
from tests.support.importer.bars import OPEN_MS, BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

REST, FLAT, STREAM = BarSource.REST, BarSource.FLAT_FILE, BarSource.STREAM
ALL = "SELECT symbol, timestamp, close, source, adjusted FROM ohlcv_1m ORDER BY ALL"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.fixture
def store(lake: LakeOnDisk) -> BarsOnLake:
    return BarsOnLake(lake.lake)


def closes(lake: LakeOnDisk) -> list[float]:
    return [close for (close,) in lake.rows("SELECT close FROM ohlcv_1m ORDER BY timestamp, adjusted")]


def test_a_bar_becomes_a_row_with_all_its_values(lake: LakeOnDisk, store: BarsOnLake) -> None:
    assert store.put(bars(a_bar(), a_bar(1, vwap=None, trades=None))) == BarCounts(1, 2, 0)
    assert lake.rows("FROM ohlcv_1m ORDER BY timestamp") == [
        ("AAPL", OPEN_MS, 270.5, 271.0, 270.0, 270.75, 1200.5, 270.6, 31, "stream", False, NOON),
        ("AAPL", OPEN_MS + 60_000, 270.5, 271.0, 270.0, 270.75, 1200.5, None, None, "stream", False, NOON),
    ]
    assert lake.rows("FROM bar_days") == [(date(2025, 11, 14), 1, -1)]
    assert lake.rows("SELECT sequence, trading_day FROM recent_bars") == [(1, date(2025, 11, 14))] * 2


def test_a_later_bar_of_a_minute_replaces_an_earlier_one_of_equal_rank(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(close=270.1)), bars(a_bar(close=270.2)))
    assert closes(lake) == [270.2]
    assert store.put(bars(a_bar(close=270.3))).bars == 1
    assert closes(lake) == [270.3]
    assert lake.rows("SELECT close, sequence FROM recent_bars") == [(270.3, 3)]


@pytest.mark.parametrize("together", [True, False])
def test_an_official_bar_beats_that_of_the_stream_in_any_order(
    lake: LakeOnDisk, store: BarsOnLake, together: bool
) -> None:
    for number, pair in enumerate(((STREAM, REST), (REST, STREAM), (FLAT, STREAM))):
        messages = [
            bars(a_bar(number, close=270.1 if source is STREAM else 270.2), source=source) for source in pair
        ]
        for part in [messages] if together else [[message] for message in messages]:
            store.put(*part)
    assert closes(lake) == [270.2] * 3


def test_an_official_bar_that_was_received_earlier_undoes_no_correction(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(close=270.2), source=FLAT, at=NOON))
    store.put(bars(a_bar(close=270.1), source=REST, at=NOON - timedelta(minutes=1)))
    assert closes(lake) == [270.2]
    store.put(bars(a_bar(close=270.3), source=REST, at=NOON + timedelta(minutes=1)))
    assert closes(lake) == [270.3]


def test_an_equal_bar_changes_nothing_but_an_official_one_replaces_its_source(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar()))
    assert store.put(bars(a_bar(), at=NOON + timedelta(minutes=1))).bars == 0
    assert store.put(bars(a_bar(), source=REST)).bars == 1
    assert store.put(bars(a_bar(), source=FLAT)).bars == 0
    assert lake.rows(ALL) == [("AAPL", OPEN_MS, 270.75, "rest", False)]
    assert lake.rows("SELECT last_sequence FROM bar_days") == [(3,)]


def test_an_equal_bar_without_vwap_keeps_the_known_one(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar(), source=STREAM))
    store.put(bars(a_bar(vwap=None, trades=40), source=FLAT))
    assert lake.rows("SELECT vwap, trades, source FROM ohlcv_1m") == [(270.6, 40, "flat_file")]
    store.put(bars(a_bar(vwap=None, trades=40, volume=1300.0), source=FLAT))
    assert lake.rows("SELECT vwap, trades, volume FROM ohlcv_1m") == [(None, 40, 1300.0)]


def test_adjusted_bars_are_kept_beside_those_as_traded(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar()), bars(a_bar(close=270.25), source=REST, adjusted=True))
    store.put(bars(a_bar(close=270.5), source=REST))
    assert closes(lake) == [270.5, 270.25]


def test_bars_of_many_days_and_symbols_are_merged_each_by_itself(lake: LakeOnDisk, store: BarsOnLake) -> None:
    """The same messages in random batches, some of them again, leave the rows that a dictionary leaves."""
    source = random.Random(7)
    kept: dict[tuple[str, int], tuple[int, Bar, BarSource]] = {}
    messages: list[ChronoxMessage] = []
    for _ in range(120):
        symbol, origin = source.choice(("AAPL", "BRK.B")), source.choice((STREAM, STREAM, REST))
        minute = source.choice((0, 1, 2)) + 1440 * source.choice((0, 3, 4))
        bar = a_bar(minute, close=270.0 + source.randrange(100) / 100)
        messages.append(bars(bar, symbol=symbol, source=origin))
        known = kept.get((symbol, bar.timestamp))
        if known is None or known[0] <= origin.rank:
            kept[symbol, bar.timestamp] = origin.rank, bar, origin
    start = 0
    while start < len(messages):
        size = source.randrange(1, 40)
        batch = store.batch(*messages[start : start + size])
        store.store(batch)
        assert store.store(batch) == BarCounts()
        start += size
    found = [(symbol, at, close, origin) for symbol, at, close, origin, _ in lake.rows(ALL)]
    assert found == sorted(
        (symbol, at, bar.close, origin.value) for (symbol, at), (_, bar, origin) in kept.items()
    )
    assert lake.rows("SELECT count(*) FROM recent_bars") == [(len(kept),)]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (bars(a_bar(), a_bar(1, low=280.0)), "open: 270.5 is not between the low 280.0"),
        (bars(a_bar(timestamp=1_763_130_600)), "no time between 2000 and 2100"),
        (bars(a_bar(), symbol="aapl"), "is not a symbol"),
        (snapshot_message(MarketSnapshot("A", minute=a_bar(volume=-1.0)), NOON), "minute.volume: -1.0"),
    ],
)
def test_a_message_with_a_bar_that_is_not_correct_is_refused_as_a_whole(
    lake: LakeOnDisk, store: BarsOnLake, message: ChronoxMessage, problem: str
) -> None:
    with pytest.raises(MessageFailed, match=problem):
        store.put(bars(a_bar(5)), message)
    assert lake.rows("FROM ohlcv_1m") == []


def test_what_is_no_message_is_refused(store: BarsOnLake) -> None:
    with pytest.raises(MessageFailed, match=r"chronox\.stream\.AAPL cannot be read"):
        store.store(store.batch_of([("chronox.stream.AAPL", b'{"symbol": "AAPL"}')]))


def test_the_newest_snapshot_of_a_symbol_is_kept(lake: LakeOnDisk, store: BarsOnLake) -> None:
    def snapshot(second: int, symbol: str = "AAPL") -> ChronoxMessage:
        content = MarketSnapshot(
            symbol,
            (OPEN_MS + second * 1000) * 1_000_000,
            a_bar(),
            DayBar(1.0, 3.0, 0.5, 2.0, 10.5, 1.5),
            DayBar(1.0, 3.0, 0.5, 1.5, 10.5),
            0.5,
            33.3,
            LastTrade(2.0, 100, 1),
            LastQuote(1.9, 1, 2.1, 2, 1),
        )
        return snapshot_message(content, NOON)

    assert store.put(snapshot(1), snapshot(3), snapshot(2), snapshot(1, "BRK.B")).snapshots == 2
    assert store.put(snapshot(2), snapshot(5, "BRK.B")).snapshots == 1
    values = (270.75, 1200.5, 1.0, 3.0, 0.5, 2.0, 10.5, 1.5, 1.5, 0.5, 33.3, 2.0, 100, 1.9, 1, 2.1, 2, NOON)
    assert lake.rows("FROM snapshots ORDER BY symbol") == [
        ("AAPL", OPEN_MS + 3000, OPEN_MS, *values),
        ("BRK.B", OPEN_MS + 5000, OPEN_MS, *values),
    ]
    empty = snapshot_message(MarketSnapshot("NEW"), NOON)
    store.put(empty)
    assert lake.rows("SELECT timestamp, minute, open FROM snapshots WHERE symbol = 'NEW'") == [
        (int(NOON.timestamp() * 1000), None, None)
    ]


def test_a_database_without_its_position_asks_for_it_again(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar()))
    with lake.lake.writing() as connection:
        connection.execute("DELETE FROM feed_position")
    with pytest.raises(OrderLost, match="the database has no position in it"):
        store.put(bars(a_bar(1)))


def test_the_position_in_chronox_is_not_that_of_feed(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar()))
    with lake.lake.reading() as connection:
        assert live_units.stored_number(connection) == 0
