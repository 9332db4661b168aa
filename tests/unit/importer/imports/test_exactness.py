"""The lake holds the values of the file, one by one."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shared.bus.messages import PartitionImported
from simulator.generator import Day
from tests.support.importer.lake import LakeOnDisk, a_record, records
from tests.support.repository import GOLDEN
from tests.support.values import a_job

# The vendor's published example, trimmed to four strikes.
EXAMPLE = GOLDEN / "vendor" / "classic_gex_zero_snapshot.json"


def strike_rows(document: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the strike rows of a document as plain Python reads it."""
    return [
        (
            round(record["timestamp"] * 1000),
            float(strike[0]),
            float(strike[1]) if len(strike) > 1 and strike[1] is not None else None,
            float(strike[2]) if len(strike) > 2 and strike[2] is not None else None,
            json.dumps(strike[3], separators=(",", ":"))
            if len(strike) > 3 and strike[3] is not None
            else None,
        )
        for record in document
        for strike in record.get("strikes") or []
    ]


def test_the_vendors_example_lands_value_for_value(lake: LakeOnDisk) -> None:
    record = json.loads(EXAMPLE.read_text())
    job = a_job(
        ticker="SPX",
        trading_day=date(2026, 4, 29),
        base_url="https://hist.gex.bot/2026-04-29_SPX_classic_gex_zero.json",
    )
    lake.import_staged(lake.stage([record], job))
    (snapshot,) = lake.rows(
        "SELECT timestamp, ticker, endpoint, spot_price, zero_gamma, net_gex, min_dte, sec_min_dte, "
        "major_pos_vol, major_pos_oi, major_neg_vol, major_neg_oi, sum_gex_vol, sum_gex_oi, "
        "delta_risk_reversal, max_priors::JSON, call_wall_candidate1_pct, source, job_id FROM gex_snapshots"
    )
    assert snapshot[:15] == (
        1777492800000,
        "SPX",
        "gex_zero",
        7138.55,
        7112.95,
        None,
        0,
        1,
        7135.0,
        7200.0,
        7100.0,
        6900.0,
        1712585.519,
        51521.105,
        0.118,
    )
    assert json.loads(snapshot[15]) == record["max_priors"]
    assert snapshot[16:] == (None, "history", str(job.job_id))
    for table in ("gex_strikes", "parquet_gex_strikes"):
        rows = lake.rows(f"SELECT timestamp, strike, gamma, oi_gamma, priors FROM {table}")
        assert rows == strike_rows([record])
    columns = lake.rows("SELECT column_name, column_type FROM (DESCRIBE FROM parquet_gex_strikes)")
    assert columns == [
        ("timestamp", "BIGINT"),
        ("ticker", "VARCHAR"),
        ("endpoint", "VARCHAR"),
        ("strike", "DOUBLE"),
        ("gamma", "DOUBLE"),
        ("oi_gamma", "DOUBLE"),
        ("priors", "VARCHAR"),
    ]


def test_a_generated_day_lands_row_for_row(lake: LakeOnDisk, tmp_path: Path) -> None:
    day = Day("NQ_NDX", "gex_zero", date(2025, 11, 14), snapshots=300, strikes=20, seed=3)
    file = tmp_path / day.file_name
    written = day.write(file)
    event = lake.import_staged(lake.stage(file.read_bytes()))
    assert isinstance(event, PartitionImported)
    assert (event.snapshots, event.strike_rows) == (written.snapshots, written.strike_rows) == (300, 6000)
    assert lake.rows("SELECT timestamp, strike, gamma, oi_gamma, priors FROM gex_strikes") == strike_rows(
        list(day.records())
    )
    assert lake.differences() == 0
    assert lake.leftovers() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one record a line", "\n".join(json.dumps(record) for record in records(3)).encode()),
        ("pretty-printed", json.dumps(records(3), indent=2).encode()),
        ("with blanks around", b"\n \t" + json.dumps(records(3)).encode() + b"\r\n"),
    ],
)
def test_every_form_of_the_file_gives_the_same_rows(lake: LakeOnDisk, name: str, content: bytes) -> None:
    lake.import_staged(lake.stage(content))
    assert lake.rows("SELECT timestamp, strike, gamma, oi_gamma, priors FROM gex_strikes") == strike_rows(
        records(3)
    ), name


@pytest.mark.parametrize(
    "name", ["2025-11-14_NQ_NDX_classic_gex_zero.json.gz", "2025-11-14_NQ_NDX_classic.jsonl.gz"]
)
def test_gzip_is_unpacked(lake: LakeOnDisk, name: str) -> None:
    plain = "\n".join(json.dumps(record) for record in records(3))
    text = plain if "jsonl" in name else json.dumps(records(3))
    job = a_job(base_url=f"https://hist.gex.bot/{name}")
    event = lake.import_staged(lake.stage(gzip.compress(text.encode()), job))
    assert isinstance(event, PartitionImported)
    assert event.snapshots == 3


def test_a_day_with_gaps_of_up_to_three_seconds_is_whole(lake: LakeOnDisk) -> None:
    """Since July 2026 the vendor sends about 17,850 records a day, not one a second."""
    count, session_s = 17_850, 23_398
    seconds = {round(number * session_s / (count - 1)) for number in range(count)}
    document = [
        {"timestamp": 1763130600 + second, "ticker": "NQ_NDX", "spot": 1, "strikes": [[1, 2, 3]]}
        for second in sorted(seconds)
    ]
    event = lake.import_staged(lake.stage(document))
    assert isinstance(event, PartitionImported)
    assert event.snapshots == event.strike_rows == count
    assert lake.rows("SELECT duplicates, strays, unknown_records FROM partitions") == [(0, 0, 0)]
    assert lake.rows("SELECT status, last_error FROM gex_history_queue") == [("completed", None)]


def test_the_first_of_two_records_with_one_timestamp_wins_and_time_is_put_in_order(lake: LakeOnDisk) -> None:
    document = [a_record(2), a_record(0, spot=1.5), a_record(1), a_record(0, spot=2.5, strikes=[])]
    event = lake.import_staged(lake.stage(document))
    assert isinstance(event, PartitionImported)
    assert event.snapshots == 3
    assert [spot for (spot,) in lake.rows("SELECT spot_price FROM gex_snapshots")] == [
        1.5,
        25001.25,
        25002.25,
    ]
    assert lake.rows(
        "SELECT timestamp, strike, gamma, oi_gamma, priors FROM parquet_gex_strikes"
    ) == strike_rows([document[1], document[2], document[0]])


def test_what_a_record_leaves_out_is_null(lake: LakeOnDisk) -> None:
    bare = {"timestamp": 1763130600.25, "ticker": "nq_ndx", "spot": 25000}
    odd = a_record(1, strikes=[[1, 2], [3, None, 4], [5, 6, 7, None], [8, 9, 10, []]], unknown={"a": [1]})
    lake.import_staged(lake.stage([bare, odd]))
    (row,) = lake.rows("SELECT * EXCLUDE (job_id) FROM gex_snapshots WHERE zero_gamma IS NULL")
    assert row[:5] == (1763130600250, "NQ_NDX", "gex_zero", 25000.0, None)
    assert row[5:-1] == (None,) * 15
    rows = lake.rows("SELECT timestamp, strike, gamma, oi_gamma, priors FROM gex_strikes")
    assert rows == strike_rows([bare, odd])


def test_a_file_name_without_a_day_takes_it_from_the_records(lake: LakeOnDisk) -> None:
    job = a_job(base_url="https://hist.gex.bot/export.json", trading_day=None)
    event = lake.import_staged(lake.stage(records(2), job))
    assert isinstance(event, PartitionImported)
    assert (event.trading_day, event.parquet_path) == (
        date(2025, 11, 14),
        "NQ_NDX/gex_zero/20251114.strikes.parquet",
    )
