"""What is read from frames of the vendor's websocket."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from services.fetcher.massive.stream.events import Status, StreamBar, decode_frame
from shared.massive.bars import Bar
from tests.support.massive import published

GTE = StreamBar("GTE", Bar(1610144640000, 0.4488, 0.4489, 0.4486, 0.4486, 4110, 0.4488))
EVENT = json.loads(published.MINUTE_EVENT)[0]


def test_the_published_event_is_read_value_for_value() -> None:
    assert decode_frame(published.MINUTE_EVENT).bars == [GTE]


def test_a_frame_may_mix_events_of_which_unknown_ones_are_counted() -> None:
    status = {"ev": "status", "status": "success", "message": "subscribed to: AM.*"}
    trade = {"ev": "T", "sym": "GTE", "c": [12], "s": "x"}
    frame = decode_frame(
        json.dumps([status, trade, {**EVENT, "n": 3, "new": 1}, {**EVENT, "ev": "A"}, trade])
    )
    assert frame.bars == [
        StreamBar("GTE", Bar(1610144640000, 0.4488, 0.4489, 0.4486, 0.4486, 4110, 0.4488, 3))
    ]
    assert frame.statuses == [Status("success", "subscribed to: AM.*")]
    assert frame.unknown == Counter({"T": 2, "A": 1})


def test_events_of_another_type_with_the_same_fields_are_no_bars() -> None:
    frame = decode_frame(json.dumps([{**EVENT, "ev": "A"}]))
    assert (frame.bars, frame.unknown) == ([], Counter({"A": 1}))


def test_a_bar_that_is_not_correct_is_rejected_and_the_others_stay() -> None:
    frame = decode_frame(json.dumps([{**EVENT, "l": 9}, {**EVENT, "o": "x"}, EVENT]))
    assert frame.bars == [GTE]
    assert [rejected.reason for rejected in frame.rejected] == [
        "Expected `float`, got `str` - at `$.o`",
        "GTE: open: 0.4488 is not between the low 9.0 and the high 0.4489",
    ]


@pytest.mark.parametrize("content", ["", "{}", "<html>", "[1]", b"[{}]"])
def test_what_is_no_array_of_events_is_refused(content: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_frame(content)
