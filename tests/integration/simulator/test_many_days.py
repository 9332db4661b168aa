"""The vendor that makes every day has files that importers accept."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import httpx
import pytest

from shared.gexbot.trading_day import bounds_ms
from simulator.generator import Day
from simulator.many_days import ManyDays

PATTERN = Day(snapshots=3, strikes=2)


@pytest.mark.parametrize("day", [date(2024, 3, 1), date(2024, 7, 4)], ids=["winter", "summer"])
def test_a_day_that_is_requested_has_its_ticker_and_lies_within_its_times(tmp_path: Path, day: date) -> None:
    with ManyDays(tmp_path, PATTERN) as vendor:
        answer = httpx.get(vendor.url_of(f"{day}_ES_SPX_classic_gex_one.json"), trust_env=False)
    records = answer.json()
    start_ms, end_ms = bounds_ms(day)
    assert [record["ticker"] for record in records] == ["ES_SPX"] * 3
    assert all(start_ms <= 1000 * record["timestamp"] < end_ms for record in records)
    same = [{**record, "ticker": "NQ_NDX", "timestamp": 0} for record in records]
    assert same == [{**record, "timestamp": 0} for record in PATTERN.records()]


def test_files_of_the_folder_are_served_and_other_names_are_not_found(tmp_path: Path) -> None:
    (tmp_path / PATTERN.file_name).write_bytes(b"[]")
    with ManyDays(tmp_path, PATTERN) as vendor:
        there = httpx.get(vendor.url_of(PATTERN.file_name), trust_env=False)
        missing = httpx.get(vendor.url_of("notes.txt"), trust_env=False)
    assert (there.content, missing.status_code) == (b"[]", 404)
