"""Gaps: found once, told from minutes without trades, filled, refused, and asked for in few calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gexlake.api.chronox.bars import (
    DetectGapsRequest,
    DetectGapsResponse,
    Fill,
    GapsRequest,
    GapStatus,
    TradingDay,
)
from gexlake.api.jobs import Stage
from services.importer.gaps import detection
from services.importer.gaps.service import BarQueries
from services.importer.lake.statements import transaction
from shared.bus.messages import Job, JobFailed, JobRequested
from shared.job_states import JobStates
from shared.massive.bars import BarSource
from shared.massive.resources import MassiveUrls, MinuteBars
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON, a_job

REST = BarSource.REST
DAY = date(2025, 11, 14)
DAYS = (DAY, date(2025, 11, 17))
MONDAY = 3 * 1440
"""The first minute of the session of the second day, counted from the open of the first."""
SATURDAY = datetime(2025, 11, 22, tzinfo=UTC)
REFUSED = "the plan does not include it"


class Gaps:
    """The gaps of a lake, at times that a test chooses."""

    def __init__(self, folder: Path) -> None:
        self.lake = LakeOnDisk(folder)
        self.store = BarsOnLake(self.lake.lake)
        self.now = SATURDAY
        self.queries = BarQueries(self.lake.lake, lambda: self.now)
        self._jobs = JobStates()
        self._generation = 0

    def detect(self, *symbols: str, days: tuple[date, ...] = DAYS, **changes: Any) -> DetectGapsResponse:
        sessions = tuple(TradingDay(day=day) for day in days)
        return self.queries.detect(DetectGapsRequest(symbols=symbols or ("AAPL",), days=sessions, **changes))

    def hold(self, *minutes: int, **changes: Any) -> None:
        """Store bars of all minutes of both sessions but some."""
        every = (*range(390), *range(MONDAY, MONDAY + 390))
        self.store.put(bars(*(a_bar(minute) for minute in every if minute not in minutes), **changes))

    def rows(self, status: GapStatus | None = None) -> list[tuple[str, int, int, str]]:
        """Return symbol, the first minute after the open, how many, and the status of each gap."""
        found = self.queries.gaps(GapsRequest(status=status)).gaps
        start = datetime.fromtimestamp(a_bar().timestamp / 1000, tz=UTC)
        return [
            (gap.symbol, round((gap.start - start).total_seconds() / 60), gap.missing, gap.status.value)
            for gap in found
        ]

    def fail(self, first: date, last: date, *, refused: bool = True) -> None:
        """Let the job for days of AAPL fail for good."""
        job = self.queue(first, last)
        failed = JobFailed(job=job, stage=Stage.FETCH, failures=3, final=True, error=REFUSED, refused=refused)
        self.queries.take(self._jobs.apply(failed, self.now))
        self.queries._refuse()

    def queue(self, first: date, last: date) -> Job:
        """Queue the job for days of AAPL, again if it is known."""
        self._generation += 1
        base_url = MassiveUrls().base_url_of(MinuteBars("AAPL", first, last))
        job = a_job(ticker="AAPL", endpoint="ohlcv_1m", base_url=base_url, generation=self._generation)
        requested = JobRequested(job=job, command_seq=1, url_sha256="0" * 64)
        self.queries.take(self._jobs.apply(requested, self.now))
        return job

    def later(self, hours: int = 24) -> None:
        self.now += timedelta(hours=hours)


@pytest.fixture
def gaps(tmp_path: Path) -> Iterator[Gaps]:
    gaps = Gaps(tmp_path)
    yield gaps
    gaps.lake.close()


def test_a_gap_is_found_once_and_grows_and_shrinks_as_one(gaps: Gaps) -> None:
    gaps.hold(10, 11, 12, 13, MONDAY + 389)
    found = gaps.detect()
    assert (found.detected, found.open, found.missing_minutes, found.resolved) == (2, 2, 5, 0)
    first = gaps.queries.gaps(GapsRequest()).gaps
    assert gaps.rows() == [("AAPL", 10, 4, "open"), ("AAPL", MONDAY + 389, 1, "open")]
    gaps.later()
    assert gaps.detect().detected == 0
    assert [gap.detected_at for gap in gaps.queries.gaps(GapsRequest()).gaps] == [SATURDAY] * 2
    assert first[0].end - first[0].start == timedelta(minutes=4)
    # Its first minute arrives, and one within it.
    gaps.store.put(bars(a_bar(10), a_bar(12)))
    assert (gaps.detect().detected, gaps.detect().resolved) == (0, 0)
    assert gaps.rows()[:2] == [("AAPL", 11, 1, "open"), ("AAPL", 13, 1, "open")]
    with gaps.lake.lake.live_writing(()) as connection, transaction(connection):
        connection.execute("DELETE FROM ohlcv_1m WHERE timestamp = ?", [a_bar(12).timestamp])
    assert gaps.detect().detected == 0
    assert gaps.rows()[0] == ("AAPL", 11, 3, "open")
    assert {gap.detected_at for gap in gaps.queries.gaps(GapsRequest()).gaps} == {SATURDAY}


def test_a_gap_ends_when_its_bars_arrive_or_the_vendor_answers_for_its_day(gaps: Gaps) -> None:
    gaps.hold(10, 11, 20, 30, 31, MONDAY, MONDAY + 1)
    assert gaps.detect().detected == 4
    gaps.store.put(bars(a_bar(10), a_bar(11)))
    assert (gaps.detect().resolved, gaps.rows()[0]) == (1, ("AAPL", 10, 2, "filled"))
    gaps.store.put(bars(a_bar(31), source=REST), bars(source=REST, complete=(DAY, DAY)))
    found = gaps.detect()
    assert (found.resolved, found.open) == (2, 1)
    assert found.by_status == {"open": 1, "filled": 2, "no_trades": 1, "unfillable": 0}
    assert gaps.rows() == [
        ("AAPL", 10, 2, "filled"),
        ("AAPL", 20, 1, "no_trades"),
        ("AAPL", 30, 2, "filled"),
        ("AAPL", MONDAY, 2, "open"),
    ]
    assert gaps.queries.gaps(GapsRequest(status=GapStatus.NO_TRADES)).gaps[0].resolved_at == SATURDAY
    gaps.later(24 * 91)
    gaps.detect()
    assert gaps.rows() == [("AAPL", MONDAY, 2, "open")]


def test_minutes_of_days_that_were_answered_are_never_gaps(gaps: Gaps) -> None:
    gaps.hold(10)
    gaps.store.put(bars(source=REST, complete=DAYS), bars(a_bar(), symbol="THIN"))
    assert gaps.detect("AAPL", "THIN", "NEW").detected == 2
    assert gaps.rows() == [("THIN", 1, 389, "open"), ("THIN", MONDAY, 390, "open")]


@pytest.mark.parametrize("asked", [False, True])
def test_minutes_before_the_first_bar_count_once_they_were_asked_for(gaps: Gaps, asked: bool) -> None:
    gaps.store.put(bars(*(a_bar(minute) for minute in range(MONDAY + 2, MONDAY + 390))))
    assert gaps.detect().open == 0
    if asked:
        gaps.fail(DAY, DAYS[1], refused=False)
        assert gaps.detect().missing_minutes == 392
    else:
        assert gaps.detect(from_the_start=True).missing_minutes == 392
    # What is a gap stays one.
    assert gaps.detect().missing_minutes == 392


def test_minutes_after_the_registration_count_without_a_bar(gaps: Gaps) -> None:
    registered = NOON.replace(hour=20, minute=30, second=59)
    with gaps.lake.lake.writing() as connection:
        connection.execute(
            "INSERT INTO symbol_registry BY NAME SELECT 'AAPL' AS symbol, 'stream' AS strategy, "
            "'idle' AS status, true AS enabled, '' AS description, '{}' AS metadata, $at AS created_at, "
            "$at AS updated_at, 1 AS revision",
            {"at": registered},
        )
    gaps.detect(days=(DAY,))
    assert gaps.rows() == [("AAPL", 360, 30, "open")]


def test_fills_are_months_of_a_symbol_the_oldest_first_and_not_asked_for_twice_a_day(gaps: Gaps) -> None:
    early = date(2025, 10, 17)  # 31 days before the last
    days = (date(2025, 10, 16), early, *DAYS)
    wanted: dict[str, Any] = {"days": days, "from_the_start": True}
    gaps.hold(5)
    found = gaps.detect("AAPL", "MSFT", max_fills=2, **wanted)
    assert found.fills == (
        Fill(symbol="AAPL", first=days[0], last=DAY, missing=2 * 390 + 1),
        Fill(symbol="MSFT", first=days[0], last=DAY, missing=3 * 390),
    )
    assert found.fills_left == 1
    gaps.later(1)
    found = gaps.detect("AAPL", "MSFT", **wanted)
    assert found.fills == (Fill(symbol="MSFT", first=DAYS[1], last=DAYS[1], missing=390),)
    assert gaps.detect("AAPL", again=True, **wanted).fills[0].symbol == "AAPL"
    gaps.later()
    assert len(gaps.detect("AAPL", "MSFT", **wanted).fills) == 3
    assert {gap.attempts for gap in gaps.queries.gaps(GapsRequest(symbol="MSFT")).gaps} == {2}


def test_what_the_vendor_refuses_is_not_asked_for_until_somebody_names_the_symbol(gaps: Gaps) -> None:
    gaps.hold(10, MONDAY)
    assert len(gaps.detect().fills) == 1
    gaps.later()
    gaps.fail(DAY, DAY)
    assert gaps.rows() == [("AAPL", 10, 1, "unfillable"), ("AAPL", MONDAY, 1, "open")]
    refused = gaps.queries.gaps(GapsRequest(status=GapStatus.UNFILLABLE)).gaps[0]
    assert (refused.reason, refused.resolved_at, refused.attempts) == (REFUSED, gaps.now, 1)
    assert gaps.detect().fills == (Fill(symbol="AAPL", first=DAYS[1], last=DAYS[1], missing=1),)
    assert gaps.detect(again=True).fills == (Fill(symbol="AAPL", first=DAY, last=DAYS[1], missing=2),)
    # The refusal is older than the request.
    assert gaps.detect().open == 2
    gaps.later(1)
    gaps.fail(DAY, DAYS[1])
    assert [gap[1] for gap in gaps.rows(GapStatus.UNFILLABLE)] == [10, MONDAY]
    gaps.store.put(bars(a_bar(10)))
    assert (gaps.detect().resolved, gaps.rows()[0][3]) == (1, "filled")


def test_a_gap_is_refused_although_the_job_failed_before_it_was_found(gaps: Gaps) -> None:
    gaps.hold(10)
    gaps.fail(DAY, DAY)
    assert gaps.detect().fills == ()
    assert gaps.rows() == [("AAPL", 10, 1, "unfillable")]


def test_a_job_that_is_queued_again_or_failed_for_another_reason_refuses_nothing(gaps: Gaps) -> None:
    gaps.hold(10)
    gaps.fail(DAY, DAY, refused=False)
    gaps.fail(DAY, DAY)
    gaps.queue(DAY, DAY)
    assert len(gaps.detect().fills) == 1


def test_a_gap_that_is_never_answered_is_given_up(gaps: Gaps) -> None:
    gaps.hold(10)
    for _ in range(5):
        assert len(gaps.detect().fills) == 1
        gaps.later()
    assert gaps.detect().fills == ()
    assert gaps.queries.gaps(GapsRequest()).gaps[0].reason == "asked for 5 times without an answer"


def test_gaps_of_minutes_that_are_in_no_session_any_more_are_forgotten(gaps: Gaps) -> None:
    gaps.hold(10)
    gaps.detect(extended=True, days=(DAY,), from_the_start=True)
    assert gaps.rows() == [("AAPL", -330, 330, "open"), ("AAPL", 10, 1, "open"), ("AAPL", 390, 240, "open")]
    gaps.detect(days=(DAY,))
    assert gaps.rows() == [("AAPL", 10, 1, "open")]


def test_many_gaps_are_found_in_parts(gaps: Gaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_LAST_DAYS", detection._LAST_DAYS.replace(str(detection.MAX_RUNS), "3"))
    gaps.hold(10, 20, MONDAY + 10, MONDAY + 20)
    found = gaps.detect()
    assert (found.truncated, found.open) == (True, 2)
    gaps.store.put(bars(source=REST, complete=(DAY, DAY)))
    found = gaps.detect()
    assert (found.truncated, found.open, found.resolved) == (False, 2, 2)


def test_without_symbols_or_days_nothing_is_found(gaps: Gaps) -> None:
    assert gaps.detect(days=()).open == 0
    assert gaps.queries.gaps(GapsRequest(symbol="AAPL")).total_count == 0
