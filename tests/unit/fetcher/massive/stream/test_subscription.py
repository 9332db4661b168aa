"""Which topics are requested for symbols."""

from __future__ import annotations

from services.fetcher.massive.stream.events import Frame, StreamBar
from services.fetcher.massive.stream.subscription import MAX_TOPICS, Subscription, frames_of
from tests.support.importer.bars import a_bar

MANY = frozenset(f"S{number}" for number in range(MAX_TOPICS + 1))


def test_many_symbols_are_picked_from_the_whole_market() -> None:
    subscription = Subscription()
    assert subscription.request(frozenset({"AAPL"})) == ["AM.AAPL"]
    subscription.accepted()
    assert subscription.request(MANY) == ["AM.*"]
    new, gone = subscription.accepted()
    assert (new, gone) == (MANY, frozenset({"AAPL"}))
    assert subscription.take_obsolete() == ["AM.AAPL"]
    bars = [StreamBar(symbol, a_bar()) for symbol in ("AAPL", "S7")]
    assert subscription.only_followed(Frame(bars)).bars == bars[1:]
    assert subscription.request(frozenset({"S7"})) == ["AM.S7"]
    subscription.accepted()
    assert subscription.take_obsolete() == ["AM.*"]


def test_a_frame_has_a_limited_number_of_topics() -> None:
    assert [len(frame.split(",")) for frame in frames_of(["AM.A"] * 1001)] == [500, 500, 1]
