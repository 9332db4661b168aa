"""The minutes in which a symbol has no bar: every planted gap is found, and no other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from services.importer.bars.gaps import MissingMinutes, missing_minutes
from shared.bus.feeds.bar_messages import ChronoxMessage
from shared.massive.bars import BarSource
from shared.massive.sessions import Session, session_of
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk

DAYS = [date(2025, 10, 31) + timedelta(days=ahead) for ahead in (0, 3, 4, 26, 28, 31)]
"""A Friday in summer time and the Monday after it; days around Thanksgiving, and the half day after it."""
HALF_DAY = date(2025, 11, 28)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


def sessions(*, extended: bool) -> dict[date, Session]:
    return {day: session_of(day, extended=extended, closes_early=day == HALF_DAY) for day in DAYS}


def found(lake: LakeOnDisk, *symbols: str, extended: bool = False) -> list[MissingMinutes]:
    with lake.lake.reading() as connection:
        return missing_minutes(connection, symbols, sessions(extended=extended))


def held_bars(symbol: str, minutes: list[int], *, adjusted: bool = False) -> ChronoxMessage:
    content = [a_bar(timestamp=minute) for minute in minutes]
    return bars(*content, symbol=symbol, source=BarSource.REST, adjusted=adjusted)


@pytest.mark.parametrize("extended", [True, False])
def test_random_gaps_are_found_and_no_other(lake: LakeOnDisk, extended: bool) -> None:
    source = random.Random(5)
    expected: list[MissingMinutes] = []
    held: list[int] = []
    for session in sessions(extended=extended).values():
        cuts = sorted(source.sample(session.minutes, 6))
        gaps = [(cuts[0], cuts[1]), (cuts[2], cuts[3]), (cuts[4], cuts[5])]
        gaps = [gap for gap, other in pairwise([*gaps, (session.end_ms, 0)]) if gap[1] < other[0]]
        expected += [MissingMinutes("AAPL", *gap) for gap in gaps]
        held += [
            minute for minute in session.minutes if not any(start <= minute < end for start, end in gaps)
        ]
    BarsOnLake(lake.lake).put(held_bars("AAPL", held))
    assert found(lake, "AAPL", extended=extended) == expected


def test_gaps_at_both_ends_of_a_session_and_whole_sessions_are_found(lake: LakeOnDisk) -> None:
    each, store = sessions(extended=False), BarsOnLake(lake.lake)
    for day in DAYS[1:]:
        minutes = list(each[day].minutes)
        store.put(held_bars("BRK.B", minutes[1:-2] if day == HALF_DAY else minutes))
    first, half = each[DAYS[0]], each[HALF_DAY]
    assert found(lake, "BRK.B", "NEW", "BRK.B") == [
        MissingMinutes("BRK.B", first.start_ms, first.end_ms),
        MissingMinutes("BRK.B", half.start_ms, half.start_ms + 60_000),
        MissingMinutes("BRK.B", half.end_ms - 120_000, half.end_ms),
        *(MissingMinutes("NEW", session.start_ms, session.end_ms) for session in each.values()),
    ]
    assert [gap.minutes for gap in found(lake, "BRK.B")] == [390, 1, 2]


def test_adjusted_bars_and_minutes_outside_of_sessions_fill_no_gap(lake: LakeOnDisk) -> None:
    session = sessions(extended=False)[DAYS[0]]
    BarsOnLake(lake.lake).put(
        held_bars("AAPL", list(session.minutes)[:-1]),
        held_bars("AAPL", [session.end_ms - 60_000], adjusted=True),
        held_bars("AAPL", [session.start_ms - 60_000, session.end_ms]),
    )
    assert found(lake, "AAPL")[0] == MissingMinutes("AAPL", session.end_ms - 60_000, session.end_ms)


def test_without_symbols_or_sessions_nothing_is_missing(lake: LakeOnDisk) -> None:
    assert found(lake) == []
    with lake.lake.reading() as connection:
        assert missing_minutes(connection, ["AAPL"], {}) == []
