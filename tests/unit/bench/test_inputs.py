"""The files that the benchmark imports: reused, generated again if they would differ, or moved."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from bench import inputs
from bench.inputs import generated, inputs_folder, large_day, moved, weekdays_after, weekdays_before
from shared.gexbot.trading_day import bounds_ms
from simulator.generator import Day
from tests.support.repository import ROOT

A_DAY = Day(snapshots=120, strikes=8)


@pytest.fixture
def messages() -> list[str]:
    return []


def test_a_generated_file_is_that_of_its_day_and_found_again(tmp_path: Path, messages: list[str]) -> None:
    first = generated(A_DAY, tmp_path, messages.append)
    again = generated(A_DAY, tmp_path, messages.append)
    assert first == again
    assert len(messages) == 1
    assert first.summary == A_DAY.write(tmp_path / "expected.json")
    assert first.path.read_bytes() == (tmp_path / "expected.json").read_bytes()


def test_another_generator_makes_another_file(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = generated(A_DAY, tmp_path, messages.append)
    monkeypatch.setattr(inputs, "_SOURCES", inputs._SOURCES[:1])
    assert generated(A_DAY, tmp_path, messages.append).path != first.path
    assert len(messages) == 2


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    unwritable = tmp_path / "file"
    unwritable.touch()
    with pytest.raises(OSError, match="file"):
        generated(A_DAY, unwritable, lambda _: None)
    assert list(tmp_path.iterdir()) == [unwritable]


def test_a_larger_day_has_as_many_hours() -> None:
    day = large_day(4, 100)
    assert (day.snapshots, day.per_second) == (400, 4)


def test_the_folder_is_a_setting_and_outside_the_repository_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ROOT not in inputs_folder().parents
    monkeypatch.setenv("GEXLAKE_BENCH_DIR", "relative")
    assert inputs_folder() == tmp_path / "relative"


def test_weekdays_exclude_weekends() -> None:
    friday, monday = date(2025, 11, 14), date(2025, 11, 17)
    assert weekdays_after(friday, 2) == [monday, date(2025, 11, 18)]
    assert weekdays_before(monday, 2) == [date(2025, 11, 13), friday]


@pytest.mark.parametrize("chunk_bytes", [1 << 20, 4096, 100, 7])
def test_a_moved_session_differs_by_its_timestamps_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK_BYTES", chunk_bytes)
    source = generated(Day(snapshots=30, strikes=3, per_second=2), tmp_path, lambda _: None)
    day = date(2025, 7, 1)  # the other side of a change of the clocks
    found = moved(source, day, tmp_path / "moved.json")
    by_s = (bounds_ms(day)[0] - bounds_ms(source.day.day)[0]) // 1000
    assert json.loads(found.path.read_bytes()) == [
        record | {"timestamp": record["timestamp"] + by_s} for record in source.day.records()
    ]
    assert found.day.day == day
    assert found.summary.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.summary.bytes == found.path.stat().st_size
    assert json.loads(found.path.read_bytes())[0]["timestamp"] == found.day.first_timestamp_s
