"""The quality score of an option chain: within its bounds, and better data never scores lower."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.chains.quality import OPTIONAL_FIELDS, quality_of
from shared.bus.feeds.chain_messages import ChainStrike

prices = st.floats(0, 1000)
strikes = st.builds(
    ChainStrike,
    st.integers(1, 12).map(float),
    st.integers(0, 10**14),
    st.integers(0, 10**14),
    *(st.none() | st.integers(0, 10**14) for _ in range(2)),
    *(st.none() | prices for _ in range(4)),
    *(st.none() | st.floats(allow_nan=False, allow_infinity=False) for _ in range(4)),
)
chains = st.lists(strikes, min_size=1, max_size=12)
ages = st.floats(-1e9, 1e9)
COMPLETE = ChainStrike(6730.0, 10, 20, 1, 2, 0.5, 0.75, 1.5, 1.75, 0.25, -0.5, -1.25, 2.0)


def changed(strike: ChainStrike, **values: Any) -> ChainStrike:
    return msgspec.structs.replace(strike, **values)


@pytest.mark.parametrize(
    ("chain", "age_s", "score"),
    [
        ([COMPLETE], 0.0, 1.0),
        ([COMPLETE], -60.0, 1.0),
        ([COMPLETE], 5.0, 1.0),
        ([COMPLETE], 152.5, 0.9),
        ([COMPLETE], 300.0, 0.8),
        ([ChainStrike(6730.0, 10, 20)], 0.0, 0.6),
        ([ChainStrike(6730.0, 10, 20)], 1e9, 0.4),
        ([changed(COMPLETE, vega=None)], 0.0, 0.96),
        ([changed(COMPLETE, call_bid=0.76)], 0.0, 0.9),
        ([changed(COMPLETE, call_bid=0.75)], 0.0, 1.0),
        ([changed(COMPLETE, call_bid=9.0, put_bid=9.0)], 0.0, 0.8),
        ([COMPLETE, COMPLETE], 0.0, 0.95),
        ([COMPLETE, changed(COMPLETE, strike_price=6725.0)], 0.0, 0.95),
        ([COMPLETE, changed(COMPLETE, strike_price=6735.0)], 0.0, 1.0),
    ],
)
def test_the_score_is_that_of_the_formula(chain: list[ChainStrike], age_s: float, score: float) -> None:
    assert quality_of(chain, age_s) == score


@given(chains, ages)
def test_a_score_is_from_0_to_1(chain: list[ChainStrike], age_s: float) -> None:
    assert 0 <= quality_of(chain, age_s) <= 1


@given(chains, ages, ages)
def test_a_later_arrival_never_scores_higher(chain: list[ChainStrike], one: float, other: float) -> None:
    assert quality_of(chain, max(one, other)) <= quality_of(chain, min(one, other))


@given(chains, ages, st.data())
def test_a_value_more_never_scores_lower_unless_it_crosses(
    chain: list[ChainStrike], age_s: float, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(chain) - 1))
    name = data.draw(st.sampled_from([name for name in OPTIONAL_FIELDS if "bid" not in name]))
    value: float = 1e9 if "ask" in name else 1
    better = [*chain]
    better[place] = changed(chain[place], **{name: value})
    if getattr(chain[place], name) is None:
        assert quality_of(better, age_s) >= quality_of(chain, age_s)


@given(chains, ages)
def test_ascending_strikes_never_score_lower(chain: list[ChainStrike], age_s: float) -> None:
    ascending = sorted(chain, key=lambda strike: strike.strike_price)
    assert quality_of(ascending, age_s) >= quality_of(chain, age_s)


@given(chains, ages)
def test_distinct_strikes_never_score_lower(chain: list[ChainStrike], age_s: float) -> None:
    distinct = [changed(strike, strike_price=strike.strike_price + n / 100) for n, strike in enumerate(chain)]
    assert quality_of(distinct, age_s) >= quality_of(chain, age_s)


@given(chains, ages)
def test_uncrossed_quotes_never_score_lower(chain: list[ChainStrike], age_s: float) -> None:
    def uncrossed(bid: float | None, ask: float | None) -> tuple[float | None, float | None]:
        return (bid, ask) if bid is None or ask is None else (min(bid, ask), max(bid, ask))

    better = []
    for strike in chain:
        call_bid, call_ask = uncrossed(strike.call_bid, strike.call_ask)
        put_bid, put_ask = uncrossed(strike.put_bid, strike.put_ask)
        quotes = {"call_bid": call_bid, "call_ask": call_ask, "put_bid": put_bid, "put_ask": put_ask}
        better.append(changed(strike, **quotes))
    assert quality_of(better, age_s) >= quality_of(chain, age_s)
