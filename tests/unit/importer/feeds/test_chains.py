"""Option chains: stored once, replaced as a whole, read at once, exported, and rebuilt from their files."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gexlake.api.lake import SqlRequest, SqlResponse
from gexlake.api.services import VerifyRequest
from services.importer.backup.snapshot import take_snapshot
from services.importer.feeds.export import export_live
from services.importer.feeds.messages import decoded
from services.importer.feeds.store import StoredCounts
from services.importer.imports.repair.comparison import Comparison, compare
from services.importer.imports.repair.rebuild_chains import load_chains
from services.importer.lake.live.stored_batch import ChainFile
from services.importer.queries.service import SqlQueries
from services.importer.queries.verify import Verification
from shared.bus.feeds import live_messages
from shared.bus.feeds.chain_messages import ChainStrike
from shared.errors import MalformedMessage
from tests.support.importer.feeding import OPEN_MS, FeedOnLake, a_chain, message_of
from tests.support.importer.lake import LakeOnDisk, Rows
from tests.support.importer.queries import with_queries
from tests.support.values import NOON

DAY = date(2025, 11, 14)
TABLES = ("chain_snapshots", "chain_strikes", "option_chains")
_ID = "CAST(snapshot_id AS VARCHAR)[-1:]"
BRIEF = f"SELECT {_ID}, market_symbol, total_open_interest FROM chain_snapshots ORDER BY ALL"
STRIKES = f"SELECT {_ID}, strike_number, strike_price FROM chain_strikes ORDER BY ALL"
COUNTS = "SELECT market_symbol, timestamp, snapshots, strike_rows FROM live_chains ORDER BY ALL"
OTHER = [ChainStrike(6800.0, 1, 1)]


@pytest.fixture
def feed(lake: LakeOnDisk) -> FeedOnLake:
    return FeedOnLake(lake.lake, readable=True)


def ask(lake: LakeOnDisk, *queries: str) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each query, as users see them."""

    async def run(service: SqlQueries) -> list[SqlResponse]:
        return [await service.sql(SqlRequest(query=query)) for query in queries]

    return [[tuple(row) for row in response.rows] for response in with_queries(lake, run)]


def is_read(lake: LakeOnDisk) -> bool:
    """Return whether users see what the tables have."""
    return ask(lake, BRIEF, STRIKES) == [lake.rows(BRIEF), lake.rows(STRIKES)]


def content(lake: LakeOnDisk) -> list[Rows]:
    return [lake.rows(f"FROM {table} ORDER BY ALL") for table in (*TABLES, "live_chains")]


def files(lake: LakeOnDisk) -> list[str]:
    root = lake.settings.paths.chains_root
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def verify(lake: LakeOnDisk) -> list[str]:
    verification = Verification(lake.lake, VerifyRequest())
    export_live(lake.lake, check=verification)
    return [difference.problem for difference in verification.compare_others().differences]


def lose_the_database(lake: LakeOnDisk) -> None:
    lake.lake.close()
    for path in lake.settings.paths.data_dir.glob("gex_data.db*"):
        path.unlink()
    lake.reopen()


def test_a_chain_becomes_a_row_and_its_strikes(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    chain = a_chain(7, job_id=UUID(int=9))
    assert feed.put(chain) == StoredCounts(1, 0, 0, 1)
    (row,) = lake.rows("SELECT * EXCLUDE (content_digest) FROM chain_snapshots")
    assert row == (
        *(UUID(int=7), str(UUID(int=9)), "SPX", DAY, time(9, 30), OPEN_MS),
        *(2, 100, 3, NOON, 0.5),
    )
    names = ", ".join(ChainStrike.__struct_fields__)
    found = lake.rows(f"SELECT {names} FROM chain_strikes ORDER BY strike_number")
    assert found == [msgspec.structs.astuple(strike) for strike in chain.strikes]
    assert lake.rows("SELECT strike_number FROM chain_strikes ORDER BY ALL") == [(1,), (2,)]


def test_the_same_content_again_is_stored_once(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    later = [message_of(a_chain(data_quality_score=0.25), NOON + timedelta(hours=n)) for n in (1, 2)]
    feed.put(a_chain(), later[0])
    before = content(lake)
    assert feed.put(later[1]).chains == 0
    assert content(lake) == before
    assert lake.rows("SELECT processed_at, data_quality_score FROM chain_snapshots") == [(NOON, 0.5)]


def test_other_content_replaces_a_chain_as_a_whole(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_chain(1), a_chain(2))
    feed.put(a_chain(1, strikes=OTHER), a_chain(1, strikes=[*OTHER, *OTHER]))
    expected = [("1", "SPX", 4), ("2", "SPX", 100)]
    strikes = [("1", 1, 6800.0), ("1", 2, 6800.0), ("2", 1, 6730.0), ("2", 2, 6735.0)]
    assert (lake.rows(BRIEF), lake.rows(STRIKES)) == (expected, strikes)
    assert lake.rows(COUNTS) == [("SPX", None, 2, 4)]
    assert ask(lake, BRIEF, STRIKES) == [expected, strikes]


@pytest.mark.slow
def test_a_chain_that_is_sent_again_for_another_symbol_and_day_moves(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    feed.put(a_chain(1), a_chain(2))
    export_live(lake.lake)
    feed.put(a_chain(1, 86400, market_symbol="NDX"))
    expected = [("1", "NDX", 100), ("2", "SPX", 100)]
    assert [lake.rows(BRIEF), *ask(lake, BRIEF)] == [expected, expected]
    assert lake.rows(COUNTS) == [("NDX", None, 1, 2), ("SPX", None, 1, 2)]
    assert verify(lake) == []
    assert is_read(lake)


@pytest.mark.slow
def test_chains_are_read_before_and_after_their_export(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_chain(1), a_chain(2, 5))
    feed.put(a_chain(2, 5, strikes=OTHER), a_chain(3, market_symbol="^VIX"))
    assert is_read(lake)
    assert files(lake) == []
    assert export_live(lake.lake).files == 2
    assert files(lake) == ["SPX/20251114/snapshots.parquet", "^VIX/20251114/snapshots.parquet"]
    assert not list(lake.settings.paths.live.iterdir())
    feed.put(a_chain(1, strikes=OTHER), a_chain(4))
    assert is_read(lake)
    export_live(lake.lake)
    of_day = "SELECT count(*) FROM option_chains WHERE market_symbol = 'SPX' AND snapshot_date = '2025-11-14'"
    assert ask(lake, BRIEF, of_day) == [lake.rows(BRIEF), [(4,)]]
    assert verify(lake) == []


@pytest.mark.slow
def test_each_snapshot_has_a_file_if_the_setting_says_so(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.a_file_each = True
    feed.put(a_chain(1), a_chain(2, 5), a_chain(3, 5))
    export_live(lake.lake)
    assert files(lake) == [f"SPX/20251114/snapshot_{OPEN_MS + after}.parquet" for after in (0, 5000)]
    feed.put(a_chain(2, 5, strikes=OTHER))
    assert is_read(lake)
    assert verify(lake) == []
    assert is_read(lake)


def test_a_day_goes_on_in_the_form_of_its_first_file(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_chain(1))
    feed.a_file_each = True
    feed.put(a_chain(2, 5), a_chain(3, 86400))
    feed.a_file_each = False
    feed.put(a_chain(4, 86405))
    export_live(lake.lake)
    next_day = OPEN_MS + 86_400_000
    assert files(lake) == [
        "SPX/20251114/snapshots.parquet",
        f"SPX/20251115/snapshot_{next_day}.parquet",
        f"SPX/20251115/snapshot_{next_day + 5000}.parquet",
    ]
    assert verify(lake) == []


@pytest.mark.parametrize("each", [False, True])
def test_a_lost_database_gets_its_chains_from_the_files(lake: LakeOnDisk, each: bool) -> None:
    FeedOnLake(lake.lake, a_file_each=each).put(a_chain(1), a_chain(2, 5, job_id=UUID(int=3)))
    export_live(lake.lake)
    before = content(lake)[:3]
    assert compare(lake.lake) == Comparison()
    lose_the_database(lake)
    found = compare(lake.lake)
    times = (OPEN_MS, OPEN_MS + 5000) if each else (None,)
    assert found.chains_to_load == [ChainFile("SPX", DAY, timestamp) for timestamp in times]
    load_chains(lake.lake, found.chains_to_load)
    assert content(lake)[:3] == before
    assert compare(lake.lake) == Comparison()
    assert export_live(lake.lake).files == 0


def test_of_a_file_and_the_table_the_later_content_stays(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    """FEED is read again after the loss of the database, perhaps before the files are loaded."""
    feed.put(a_chain(1), a_chain(2), a_chain(3, market_symbol="NDX"))
    export_live(lake.lake)
    lose_the_database(lake)
    again = FeedOnLake(lake.lake)
    later, earlier = NOON + timedelta(seconds=1), NOON - timedelta(seconds=1)
    again.put(message_of(a_chain(1, strikes=OTHER), later), message_of(a_chain(2, strikes=OTHER), earlier))
    again.put(message_of(a_chain(3, strikes=OTHER), earlier))
    found = compare(lake.lake)
    load_chains(lake.lake, found.chains_to_load)
    assert lake.rows(BRIEF) == [("1", "SPX", 2), ("2", "SPX", 100), ("3", "NDX", 100)]
    assert lake.rows(COUNTS) == [("NDX", None, 1, 2), ("SPX", None, 2, 3)]
    assert verify(lake) == []
    assert compare(lake.lake) == Comparison()


@pytest.mark.slow
def test_a_chain_that_moved_is_removed_from_a_file_that_was_not_exported_since(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    """The database was lost between the two files of an export."""
    feed.put(a_chain(1), a_chain(2))
    export_live(lake.lake)
    file = lake.settings.paths.chains("SPX", DAY)
    older = file.read_bytes()
    feed.put(message_of(a_chain(1, market_symbol="NDX"), NOON + timedelta(seconds=1)))
    export_live(lake.lake)
    file.write_bytes(older)
    lose_the_database(lake)
    load_chains(lake.lake, compare(lake.lake).chains_to_load)
    assert lake.rows(BRIEF) == [("1", "NDX", 100), ("2", "SPX", 100)]
    assert verify(lake) == []
    assert is_read(lake)


def test_a_file_that_is_later_than_the_database_is_loaded(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    """A log that was cut short opens without the last commits."""
    feed.put(a_chain(1))
    export_live(lake.lake)
    lake.lake.close()
    database = lake.settings.paths.database
    older = database.read_bytes()
    lake.reopen()
    newer = FeedOnLake(lake.lake)
    newer.put(a_chain(9))
    newer.put(message_of(a_chain(1, strikes=[*OTHER, *OTHER]), NOON + timedelta(seconds=1)))
    export_live(lake.lake)
    expected = lake.rows(BRIEF)
    lake.lake.close()
    database.write_bytes(older)
    lake.reopen()
    load_chains(lake.lake, compare(lake.lake).chains_to_load)
    assert lake.rows(BRIEF) == expected
    assert verify(lake) == []


def test_a_file_that_is_gone_or_damaged_is_exported_again(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_chain(1), a_chain(2, market_symbol="NDX"))
    export_live(lake.lake)
    gone, damaged = (lake.settings.paths.chains(symbol, DAY) for symbol in ("NDX", "SPX"))
    gone.unlink()
    damaged.write_bytes(b"PAR1")
    assert verify(lake) != []
    assert compare(lake.lake).to_export == [ChainFile("SPX", DAY), ChainFile("NDX", DAY)]
    export_live(lake.lake)
    assert verify(lake) == []


def test_a_backup_has_the_files_of_chains(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    feed.put(a_chain())
    export_live(lake.lake)
    folder = lake.settings.paths.data_dir / take_snapshot(lake.lake).folder
    assert [path.relative_to(folder) for path in folder.rglob("*.parquet")] == [
        Path("gex/SPX/20251114/snapshots.parquet")
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"market_symbol": "spx"}, "capitals"),
        ({"market_symbol": "../SPX"}, "not a ticker"),
        ({"timestamp": 946_684_799_999}, "before 2000"),
        ({"timestamp": 10**18}, "unusable"),
        ({"strikes": []}, "length"),
        ({"strikes": [[0, 1, 1]]}, "> 0"),
        ({"strikes": [[1, -1, 1]]}, ">= 0"),
        ({"strikes": [[1, 1, 10**15]]}, "<="),
        ({"strikes": [[1, 1, 1, None, None, -0.5]]}, ">= 0"),
        ({"data_quality_score": 1.5}, "<= 1"),
        ({"snapshot_id": "x"}, "UUID"),
    ],
)
def test_a_message_that_does_not_fit_the_tables_is_refused(changes: dict[str, Any], problem: str) -> None:
    message = json.loads(live_messages.encode(message_of(a_chain())))
    message["payload"] |= changes
    with pytest.raises(MalformedMessage, match=problem):
        decoded("gex.feed.chain.SPX", json.dumps(message).encode())


def test_a_message_without_a_time_zone_is_refused() -> None:
    message = message_of(a_chain(), datetime(2025, 11, 14))  # noqa: DTZ001 (that is the point)
    with pytest.raises(MalformedMessage, match="time zone"):
        decoded("gex.feed.chain.SPX", live_messages.encode(message))
