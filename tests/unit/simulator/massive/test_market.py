"""The bars of the generated market."""

from __future__ import annotations

from datetime import date

from shared.massive.bars import fault_of
from simulator.massive.market import Market, Split

FRIDAY, MONDAY = date(2026, 6, 5), date(2026, 6, 8)


def test_the_same_seed_has_the_same_bars_and_all_are_correct() -> None:
    one, two = (Market({"AAPL": 1.0}, seed=7) for _ in range(2))
    bars = one.bars("AAPL", FRIDAY)
    assert bars == two.bars("AAPL", FRIDAY)
    assert bars != Market({"AAPL": 1.0}, seed=8).bars("AAPL", FRIDAY)
    assert [fault_of(bar) for bar in bars] == [None] * len(bars)


def test_a_liquid_symbol_is_traded_in_every_minute_of_the_session_and_a_thin_one_in_few() -> None:
    market = Market({"AAPL": 1.0, "THIN": 0.05})
    minutes = {bar.timestamp for bar in market.bars("AAPL", FRIDAY)}
    assert minutes >= set(market.session(FRIDAY, extended=False).minutes)
    assert minutes < set(market.session(FRIDAY).minutes)
    assert 0 < len(market.bars("THIN", FRIDAY)) < 60


def test_there_are_no_bars_on_weekends_and_holidays_and_half_days_end_early() -> None:
    market = Market({"AAPL": 1.0}, closed=frozenset({MONDAY}), early=frozenset({FRIDAY}))
    assert list(market.bars_between("AAPL", date(2026, 6, 6), MONDAY)) == []
    assert market.bars("AAPL", FRIDAY)[-1].timestamp < market.session(FRIDAY).end_ms
    assert (market.session(FRIDAY).end_ms - market.session(FRIDAY).start_ms) // 60_000 == 13 * 60


def test_a_split_changes_prices_and_volumes_of_the_days_before_it() -> None:
    market = Market({"AAPL": 1.0}, splits=(Split("AAPL", MONDAY, 4),))
    raw, adjusted = (market.bars("AAPL", FRIDAY, adjusted=each)[0] for each in (False, True))
    assert adjusted.open == round(raw.open / 4, 4)
    assert adjusted.volume == raw.volume * 4
    assert market.bars("AAPL", MONDAY) == market.bars("AAPL", MONDAY, adjusted=True)
