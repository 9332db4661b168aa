"""What readers of live snapshots get, and which events they may ask for."""

from __future__ import annotations

import json

import pytest

from gexlake.api.live import LiveSnapshotView
from services.intake.errors import Unprocessable
from services.intake.live.events import EventFilter, LiveEvent, as_sse
from shared.bus.feeds.live_messages import Snapshot, SnapshotPart, Strike
from tests.support.intake.live import START, START_MS, a_message


def test_an_event_has_its_id_its_part_and_the_columns_that_were_sent() -> None:
    message = a_message(0, part=SnapshotPart.MAJORS, spot_price=None, zero_gamma=None, major_pos_vol=6050.0)
    event = LiveEvent(17, message)
    assert json.loads(event.json) == {
        "id": 17,
        "event": "majors",
        "received_at": START.isoformat().replace("+00:00", "Z"),
        "ticker": "SPX",
        "endpoint": "gex_zero",
        "timestamp": START_MS,
        "major_pos_vol": 6050.0,
    }
    assert as_sse([event, event]) == b"id: 17\nevent: majors\ndata: " + event.json + b"\n\n" + as_sse([event])


def test_strikes_are_arrays_and_priors_keep_their_kinds_of_number() -> None:
    strikes = [Strike(6000.0, 1.5, -2.0, [1, 2.5, None]), Strike(6005.0)]
    text = LiveEvent(1, a_message(0, strikes=strikes)).json
    assert b'"strikes":[[6000.0,1.5,-2.0,[1,2.5,null]],[6005.0,null,null,null]]' in text


def test_the_model_of_clients_has_every_column() -> None:
    columns = set(Snapshot.__struct_fields__) - {"part"}
    assert set(LiveSnapshotView.model_fields) == {"id", "event", "received_at", *columns}
    sent = LiveEvent(1, a_message(0, strikes=[Strike(6000.0, 1.5)]))
    assert LiveSnapshotView.model_validate_json(sent.json).strikes == [[6000.0, 1.5, None, None]]


@pytest.mark.parametrize(
    ("tickers", "endpoints", "matches"),
    [
        ("", "", True),
        ("spx", "", True),
        ("NDX, SPX", "zero,gex_full", True),
        ("NDX", "", False),
        ("SPX", "gex_one", False),
        (" , ", ",", True),
    ],
)
def test_a_filter_takes_names_as_clients_write_them(tickers: str, endpoints: str, matches: bool) -> None:
    assert EventFilter.parse(tickers, endpoints).matches(LiveEvent(1, a_message(0))) is matches


@pytest.mark.parametrize(
    ("tickers", "endpoints", "field"),
    [
        ("S PX", "", "ticker"),
        ("SPX,../x", "", "ticker"),
        ("", "gex_two", "endpoint"),
        ("", "vanna", "endpoint"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tickers: str, endpoints: str, field: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        EventFilter.parse(tickers, endpoints)
    assert caught.value.field == field


def test_the_subject_of_one_ticker_is_its_own() -> None:
    assert EventFilter.parse("spx", "").subject == "gex.feed.gex.SPX"
    assert EventFilter.parse("SPX,NDX", "").subject == EventFilter.parse("", "").subject == "gex.feed.gex.>"
