"""Reading what is asked for by date: every form that is taken, every rule by the field that it is about."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority
from services.intake.backfill.request import MAX_JOBS, BackfillRequest, NamedDay, read_backfill_request
from services.intake.errors import Unprocessable
from services.intake.market_days import why_closed
from shared.gexbot.partition import Partition

TODAY = date(2026, 11, 20)
RANGE = {"ticker": "NQ_NDX", "endpoint": "gex_zero", "start": "2025-09-02", "end": "2025-11-14"}


def read(**changes: Any) -> BackfillRequest:
    body = {name: value for name, value in {**RANGE, **changes}.items() if value is not None}
    return read_backfill_request(body, TODAY)


def read_days(*days: str) -> BackfillRequest:
    return read(start=None, end=None, days=list(days))


def test_a_range_is_its_trading_days() -> None:
    asked = read()
    assert len(asked.partitions) == len(asked.trading_days) == 54
    assert asked.partitions[0] == Partition("NQ_NDX", "gex_zero", date(2025, 9, 2))
    assert asked.partitions[-1] == Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
    assert (asked.priority, asked.force, asked.reason, asked.dry_run) == (None, False, None, False)


def test_several_tickers_and_endpoints_are_asked_for_day_by_day_and_each_once() -> None:
    asked = read(
        ticker=None,
        tickers=["spx", "NQ_NDX", "SPX"],
        endpoint=None,
        endpoints=["gex_one", "GEX_ZERO"],
        end="2025-09-03",
    )
    first, second = date(2025, 9, 2), date(2025, 9, 3)
    assert asked.partitions == tuple(
        Partition(ticker, endpoint, day)
        for day in (first, second)
        for ticker in ("SPX", "NQ_NDX")
        for endpoint in ("gex_one", "gex_zero")
    )


def test_of_a_range_the_holidays_are_named_and_its_weekends_are_not() -> None:
    asked = read(start="2025-11-22", end="2025-11-30")
    assert asked.closed == (NamedDay(date(2025, 11, 27), "Thanksgiving Day"),)
    assert [named.day for named in asked.early_closes] == [date(2025, 11, 28)]


def test_of_listed_days_all_that_are_closed_are_named() -> None:
    asked = read_days("2025-11-14", "2025-11-27", "2025-11-15", "2025-11-14")
    assert asked.trading_days == (date(2025, 11, 14),)
    assert [named.why for named in asked.closed] == ["Saturday", "Thanksgiving Day"]


def test_a_range_without_trading_asks_for_nothing() -> None:
    assert read(start="2025-11-15", end="2025-11-16").partitions == ()


def test_today_may_be_asked_for() -> None:
    assert read(start="2026-11-20", end="2026-11-20").trading_days == (TODAY,)


def test_the_options_are_read_and_a_secret_is_taken_out_of_the_reason() -> None:
    asked = read(priority="high", force=True, reason=" see https://h/x?sig=S3CRET ", dry_run=True)
    assert (asked.priority, asked.force, asked.dry_run) == (Priority.HIGH, True, True)
    assert asked.reason == "see https://h/x?[redacted]"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"ticker": None}, "tickers", "required"),
        ({"ticker": "../etc"}, "ticker", "is not a ticker"),
        ({"ticker": 5}, "ticker", "a text or a list of texts"),
        ({"ticker": []}, "ticker", "the list is empty"),
        ({"ticker": ["SPX", ""]}, "ticker", "is not a ticker"),
        ({"endpoint": "gex_two"}, "endpoint", "is not an endpoint: use one of gex_zero"),
        ({"endpoints": ["gex_one"]}, "endpoint", "not permitted"),
        ({"start": None}, "start", "give start and end"),
        ({"end": None}, "end", "give start and end"),
        ({"start": None, "end": None}, "start", "or a list of days"),
        ({"start": "2025-11-15"}, "start", "2025-11-15 is after the end, 2025-11-14"),
        ({"start": "2025-02-30"}, "start", "'2025-02-30' is not a day: write it like 2025-11-14"),
        ({"start": "20250902"}, "start", "write it like"),
        ({"start": 1756771200}, "start", "write it like"),
        ({"end": "2026-11-21"}, "end", "2026-11-21 is in the future (in New York it is 2026-11-20)"),
        ({"start": "2010-01-04"}, "end", "more than ten years"),
        ({"days": ["2025-11-14"]}, "days", "either days, or start and end"),
        ({"start": None, "end": None, "days": []}, "days", "the list is empty"),
        ({"start": None, "end": None, "days": ["2025-11-14", "x"]}, "days", "'x' is not a day"),
        ({"start": None, "end": None, "days": ["2027-01-04"]}, "days", "in the future"),
        ({"ticker": [f"T{n}" for n in range(20)]}, "start", "1080 jobs; at most 1000"),
        ({"priority": "urgent"}, "priority", "'critical', 'high', 'medium' or 'low'"),
        ({"force": "yes"}, "force", "boolean"),
        ({"force": True}, "reason", "force needs a reason"),
        ({"dry_run": 1}, "dry_run", "boolean"),
        ({"url": "https://hist.gex.bot/a.json"}, "url", "not permitted"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_field(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read(**changes)
    assert refused.value.field == field
    assert words in str(refused.value)


@given(
    st.dates(date(2020, 1, 1), TODAY),
    st.integers(0, 230),
    st.integers(1, 3),
    st.sampled_from([["gex_zero"], ["gex_zero", "orderflow"]]),
)
def test_whatever_range_is_taken_has_trading_days_only_and_not_too_many(
    start: date, length: int, tickers: int, endpoints: list[str]
) -> None:
    end = min(TODAY, date.fromordinal(start.toordinal() + length))
    body = {"tickers": [f"T{n}" for n in range(tickers)], "endpoints": endpoints}
    asked = read_backfill_request({**body, "start": str(start), "end": str(end)}, TODAY)
    assert len(set(asked.partitions)) == len(asked.partitions) <= MAX_JOBS
    assert all(start <= day <= end and why_closed(day) is None for day in asked.trading_days)
    assert list(asked.trading_days) == sorted(asked.trading_days)
