"""The generated trading day: the vendor's format, and figures that move as real ones do."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shared.gexbot.trading_day import NEW_YORK
from simulator import generator
from simulator.generator import LAGS_S, Day, file_name

FIELDS = [
    "timestamp",
    "ticker",
    "min_dte",
    "sec_min_dte",
    "spot",
    "zero_gamma",
    "major_pos_vol",
    "major_pos_oi",
    "major_neg_vol",
    "major_neg_oi",
    "strikes",
    "sum_gex_vol",
    "sum_gex_oi",
    "delta_risk_reversal",
    "max_priors",
]
"""The fields of the vendor's published example, in its order."""


def a_day(**changes: Any) -> Day:
    return Day(**{"snapshots": 50, "strikes": 20, **changes})


@pytest.fixture(scope="module")
def long_day() -> list[dict[str, Any]]:
    return list(Day(snapshots=LAGS_S[-1] + 100, strikes=12).records())


def test_a_record_has_the_vendors_fields_in_its_order() -> None:
    record = next(a_day().records())
    assert list(record) == FIELDS
    assert [len(row) for row in record["strikes"]] == [4] * 20
    assert [len(row[3]) for row in record["strikes"]] == [5] * 20
    assert [len(pair) for pair in record["max_priors"]] == [2] * 6


def test_the_file_holds_exactly_the_records(tmp_path: Path) -> None:
    summary = a_day().write(path := tmp_path / "day.json")
    records = json.loads(path.read_bytes())
    assert records == list(a_day().records())
    assert (summary.snapshots, summary.strike_rows) == (50, 1000)
    assert (len(records), sum(len(record["strikes"]) for record in records)) == (50, 1000)


def test_the_counts_are_those_of_the_file_on_disk(tmp_path: Path) -> None:
    summary = a_day().write(path := tmp_path / "day.json.gz")
    assert summary.bytes == path.stat().st_size
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_suffix_chooses_the_form_and_the_records_stay_the_same(tmp_path: Path) -> None:
    for name in ("day.json", "day.json.gz", "day.jsonl", "day.jsonl.gz"):
        a_day().write(tmp_path / name)
    plain = (tmp_path / "day.json").read_bytes()
    lines = (tmp_path / "day.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "day.json.gz").read_bytes()) == plain
    assert gzip.decompress((tmp_path / "day.jsonl.gz").read_bytes()) == lines
    assert [json.loads(line) for line in lines.splitlines()] == json.loads(plain)


@pytest.mark.parametrize("name", ["day.json", "day.json.gz"])
def test_the_same_day_is_the_same_bytes_and_another_seed_is_not(tmp_path: Path, name: str) -> None:
    one = a_day().write(tmp_path / name)
    again = a_day().write(tmp_path / f"again_{name}")
    other = a_day(seed=2).write(tmp_path / f"other_{name}")
    assert one == again
    assert one.sha256 != other.sha256


def test_a_shorter_day_is_the_beginning_of_a_longer_one() -> None:
    assert list(a_day(snapshots=5).records()) == list(a_day().records())[:5]


def test_on_record_is_called_once_for_each_record(tmp_path: Path) -> None:
    written: list[int] = []
    a_day().write(tmp_path / "day.json", on_record=lambda: written.append(1))
    assert len(written) == 50


@pytest.mark.parametrize(
    ("day", "open_utc"),
    [
        (date(2025, 11, 14), datetime(2025, 11, 14, 14, 30, tzinfo=UTC)),
        (date(2025, 7, 1), datetime(2025, 7, 1, 13, 30, tzinfo=UTC)),
    ],
)
def test_snapshots_come_each_second_from_the_open_in_new_york(day: date, open_utc: datetime) -> None:
    seconds = [record["timestamp"] for record in a_day(day=day).records()]
    assert seconds == list(range(int(open_utc.timestamp()), int(open_utc.timestamp()) + 50))


def test_more_snapshots_a_second_come_at_even_fractions_of_it() -> None:
    seconds = [record["timestamp"] for record in a_day(per_second=4, snapshots=10).records()]
    assert seconds == [a_day().first_timestamp_s + number / 4 for number in range(10)]
    assert [type(second) for second in seconds[:5]] == [int, float, float, float, int]


def test_priors_are_as_many_seconds_old_however_many_snapshots_a_second_has() -> None:
    records = list(a_day(per_second=2, snapshots=700, strikes=5).records())
    for number in (119, 120, 121, 600, 699):
        for index, (_, _, _, priors) in enumerate(records[number]["strikes"]):
            for prior, lag in zip(priors[:2], LAGS_S, strict=False):
                assert prior == (records[number - 2 * lag]["strikes"][index][1] if number >= 2 * lag else 0)
    strike, change = records[-1]["max_priors"][0]
    assert change == pytest.approx(
        dict(row[:2] for row in records[-1]["strikes"])[strike]
        - dict(row[:2] for row in records[-3]["strikes"])[strike]
    )


def test_figures_grow_with_the_time_and_not_with_the_snapshots() -> None:
    volumes = [
        sum(
            abs(row[1]) for row in list(a_day(per_second=each, snapshots=400 * each).records())[-1]["strikes"]
        )
        for each in (1, 4)
    ]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.5)


def test_priors_are_the_volume_figure_of_the_lags_and_zero_before(long_day: list[dict[str, Any]]) -> None:
    for second in (0, 59, 60, 61, 299, 300, 1799, 1800, 1899):
        for index, (_, _, _, priors) in enumerate(long_day[second]["strikes"]):
            expected = [long_day[second - lag]["strikes"][index][1] if second >= lag else 0 for lag in LAGS_S]
            assert priors == expected


def test_sums_and_majors_are_those_of_the_strikes(long_day: list[dict[str, Any]]) -> None:
    for record in long_day[::97]:
        by_volume = {row[0]: row[1] for row in record["strikes"]}
        by_interest = {row[0]: row[2] for row in record["strikes"]}
        assert record["sum_gex_vol"] == pytest.approx(sum(by_volume.values()))
        assert record["sum_gex_oi"] == pytest.approx(sum(by_interest.values()))
        assert by_volume[record["major_pos_vol"]] == max(by_volume.values())
        assert by_volume[record["major_neg_vol"]] == min(by_volume.values())
        assert by_interest[record["major_pos_oi"]] == max(by_interest.values())
        assert by_interest[record["major_neg_oi"]] == min(by_interest.values())


def test_max_priors_name_the_strike_that_changed_most(long_day: list[dict[str, Any]]) -> None:
    now = {row[0]: row[1] for row in long_day[-1]["strikes"]}
    for lag, (strike, change) in zip((1, *LAGS_S), long_day[-1]["max_priors"], strict=True):
        then = {row[0]: row[1] for row in long_day[-1 - lag]["strikes"]}
        changes = {each: now[each] - then[each] for each in now}
        assert abs(change) == pytest.approx(max(map(abs, changes.values())))
        assert change == pytest.approx(changes[strike])


def test_zero_gamma_lies_where_the_running_sum_turns_positive() -> None:
    *_, record = a_day(snapshots=300, strikes=60).records()
    below = sum(row[1] for row in record["strikes"] if row[0] <= record["zero_gamma"])
    following = next(row[1] for row in record["strikes"] if row[0] > record["zero_gamma"])
    assert below < 0 < below + following


def test_spot_walks_in_small_steps_and_the_figures_move_with_it() -> None:
    records = list(a_day(snapshots=500, strikes=40).records())
    spots = [record["spot"] for record in records]
    assert max(abs(after / before - 1) for before, after in pairwise(spots)) < 0.001
    assert len(set(spots)) > 400
    middle = [record["strikes"][20][1] for record in records[250:]]
    assert len(set(middle)) > 100
    assert max(abs(after - before) for before, after in pairwise(middle)) < 0.5 * max(map(abs, middle))


def test_strikes_lie_around_spot_and_whole_numbers_are_integers() -> None:
    for record in a_day(ticker="SPX").records():
        strikes = [row[0] for row in record["strikes"]]
        assert strikes[0] < record["spot"] < strikes[-1]
        assert all(isinstance(strike, int) for strike in strikes)
        numbers = [number for row in record["strikes"] for number in (row[1], row[2], *row[3])]
        assert not [number for number in numbers if isinstance(number, float) and number.is_integer()]
        assert {after - before for before, after in pairwise(strikes)} == {5}


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshots": 0},
        {"snapshots": 52_201},
        {"snapshots": 104_401, "per_second": 2},
        {"per_second": 0},
        {"per_second": 3},
        {"strikes": 0},
        {"ticker": "../x"},
        {"endpoint": "gex_two"},
    ],
)
def test_a_day_that_no_vendor_would_send_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not "):
        a_day(**changes)


@pytest.mark.parametrize(
    ("name", "options", "first"),
    [
        ("2025-11-13_SPX_classic_gex_one.json", [], ("SPX", "2025-11-13")),
        ("2025-11-13_SPX_classic_gex_one.json", ["--day", "2025-11-12"], ("SPX", "2025-11-12")),
        ("a day.txt", [], ("NQ_NDX", "2025-11-14")),
    ],
)
def test_as_a_program_it_takes_missing_options_from_the_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], first: tuple[str, str]
) -> None:
    out = tmp_path / name
    monkeypatch.setattr(
        sys, "argv", ["generator", "--snapshots", "2", "--strikes", "3", "--out", str(out), *options]
    )
    generator.main()
    record = json.loads(out.read_bytes())[0]
    at = datetime.fromtimestamp(record["timestamp"], NEW_YORK)
    assert (record["ticker"], at.date().isoformat()) == first


def test_the_file_name_is_the_vendors() -> None:
    assert a_day().file_name == "2025-11-14_NQ_NDX_classic_gex_zero.json"
    assert file_name(date(2025, 1, 2), "SPX", "gex_full", ".json.gz") == (
        "2025-01-02_SPX_classic_gex_full.json.gz"
    )
