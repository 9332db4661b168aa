"""The newest snapshot of a ticker in memory: which one it is, and how its parts come together."""

from __future__ import annotations

from typing import Any

from services.intake.live.latest import KEPT, MAX_KEYS, LatestSnapshots
from shared.bus.feeds.live_messages import LiveSnapshot, Snapshot, SnapshotPart, Strike
from tests.support.intake.live import START_MS, a_message, a_snapshot


def latest_of(*messages: LiveSnapshot) -> Snapshot | None:
    latest = LatestSnapshots()
    for sequence, message in enumerate(messages, 1):
        latest.add(sequence, message)
    found = latest.get("SPX", "gex_zero")
    return found.snapshot if found else None


def majors(second: int, **columns: Any) -> LiveSnapshot:
    return a_message(second, part=SnapshotPart.MAJORS, spot_price=None, zero_gamma=None, **columns)


def test_parts_of_a_second_are_put_together_column_by_column() -> None:
    strikes = [Strike(6000.0, 1.5)]
    found = latest_of(
        a_message(0, major_pos_vol=1.0, sum_gex_oi=3.0, strikes=strikes),
        majors(0, major_pos_vol=2.0, major_neg_vol=4.0),
    )
    assert found == a_snapshot(0, major_pos_vol=2.0, major_neg_vol=4.0, sum_gex_oi=3.0, strikes=strikes)


def test_strikes_are_replaced_as_a_whole_by_a_message_that_has_some() -> None:
    old, new = [Strike(6000.0, 1.5), Strike(6005.0, 2.5)], [Strike(6000.0, 9.5)]
    replaced = latest_of(a_message(0, strikes=old), a_message(0, strikes=new))
    kept = latest_of(a_message(0, strikes=old), a_message(0, strikes=[]))
    assert replaced is not None
    assert kept is not None
    assert (replaced.strikes, kept.strikes) == (new, old)


def test_the_newest_timestamp_wins_whatever_the_order() -> None:
    assert latest_of(a_message(1), a_message(3), a_message(2)) == a_snapshot(3)


def test_a_part_that_comes_before_its_snapshot_does_not_hide_the_last_one() -> None:
    early = majors(1, major_pos_vol=2.0)
    assert latest_of(a_message(0), early) == a_snapshot(0)
    assert latest_of(a_message(0), early, a_message(1)) == a_snapshot(
        1, major_pos_vol=2.0, part=SnapshotPart.MAJORS
    )
    alone = latest_of(early)
    assert alone is not None
    assert (alone.timestamp, alone.major_pos_vol) == (START_MS + 1000, 2.0)


def test_only_the_last_seconds_and_tickers_are_kept() -> None:
    latest = LatestSnapshots()
    for second in range(10 * KEPT):
        latest.add(second, a_message(second))
    for number in range(MAX_KEYS):
        latest.add(number, a_message(0, f"T{number}"))
    assert latest.get("SPX", "gex_zero") is None
    assert latest.get("T0", "gex_zero") is not None
    assert latest.get("T0", "gex_one") is None


def test_the_tickers_that_were_silent_longest_go_when_strikes_take_too_much() -> None:
    latest = LatestSnapshots(max_strikes=100)
    strikes = [Strike(float(number)) for number in range(30)]
    for second in range(10 * KEPT):
        latest.add(second, a_message(second, "OLD", strikes=strikes[:10]))
    for ticker in ("MID", "NEW"):
        latest.add(1, a_message(0, ticker, strikes=strikes))
    assert latest.get("OLD", "gex_zero") is not None
    for second in (0, 0, 1):
        latest.add(2, a_message(second, "NEW", strikes=strikes))
    assert [latest.get(ticker, "gex_zero") is None for ticker in ("OLD", "MID", "NEW")] == [
        True,
        False,
        False,
    ]
