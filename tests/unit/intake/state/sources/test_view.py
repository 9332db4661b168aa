"""How intake shows the sources that fetchers have asked."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gexlake.api.sources import Circuit
from services.intake.errors import NotReady
from services.intake.state.sources.metrics import SourceMetrics
from services.intake.state.sources.view import KnownSources, view_circuit, view_source
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.sources.record import SourceRecord
from tests.support.values import NOON

SOURCE = "https://hist.gex.bot"
RECORD = SourceRecord(
    base_url=SOURCE,
    requests=4,
    successes=3,
    mean_response_s=0.25,
    last_success_at=NOON,
    last_error=f"{SOURCE} answered 503",
    failures_in_a_row=1,
)
LEFT_ALONE = RECORD.model_copy(update={"failures_in_a_row": 5, "open_until": NOON + timedelta(seconds=30)})


def told(record: SourceRecord) -> Followed:
    return Followed(1, subjects.source(record.base_url), record.model_dump_json().encode())


def test_a_source_is_shown_in_the_shape_of_a_data_source() -> None:
    assert json.loads(view_source(RECORD, NOON).model_dump_json()) == {
        "source_id": str(RECORD.source_id),
        "base_url": SOURCE,
        "name": "hist.gex.bot",
        "reliability_score": 0.75,
        "last_successful_fetch": "2025-11-14T17:00:00Z",
        "total_requests": 4,
        "successful_requests": 3,
        "average_response_time": "PT0.25S",
        "is_active": True,
        "circuit": "closed",
        "left_alone_until": None,
        "failures_in_a_row": 1,
        "last_error": f"{SOURCE} answered 503",
        "deactivated_at": None,
        "deactivated_by": None,
    }


def test_a_source_that_is_left_alone_is_not_active_until_its_time_is_over() -> None:
    now, then = view_source(LEFT_ALONE, NOON), view_source(LEFT_ALONE, NOON + timedelta(seconds=30))
    assert (now.is_active, now.circuit, now.left_alone_until) == (False, Circuit.OPEN, LEFT_ALONE.open_until)
    assert (then.is_active, then.circuit, then.left_alone_until) == (True, Circuit.HALF_OPEN, None)


def test_a_deactivated_source_is_not_active_and_says_who_deactivated_it() -> None:
    shown = view_source(RECORD.deactivated("key:ba7816bf", NOON), NOON)
    assert (shown.is_active, shown.circuit, shown.deactivated_by) == (False, Circuit.CLOSED, "key:ba7816bf")


def test_a_change_of_this_intake_is_not_undone_by_records_before_it() -> None:
    sources = KnownSources()
    sources.put(RECORD, 3)
    sources.take(Followed(2, subjects.source(SOURCE), LEFT_ALONE.model_dump_json().encode()))
    assert sources.records == (RECORD,)


def test_a_source_that_never_answered_has_no_response_time() -> None:
    shown = view_source(SourceRecord(base_url=SOURCE, requests=2), NOON)
    assert (shown.average_response_time, shown.reliability_score) == (None, 0.0)


def test_sources_are_refused_until_all_records_are_read() -> None:
    sources = KnownSources()
    sources.take(told(RECORD))
    with pytest.raises(NotReady, match="not yet read"):
        sources.require_read()
    sources.take(Followed(1, "", None))
    sources.require_read()


def test_the_newest_record_of_each_source_counts_and_unreadable_ones_are_passed_over() -> None:
    sources = KnownSources()
    other = SourceRecord(base_url="https://api.gex.bot")
    for each in (RECORD, other, LEFT_ALONE):
        sources.take(told(each))
    sources.take(Followed(4, subjects.source(SOURCE), b'{"requests": "many"}'))
    assert sources.records == (other, LEFT_ALONE)
    assert [view_circuit(each, NOON).circuit for each in sources.records] == [Circuit.CLOSED, Circuit.OPEN]


def test_metrics_tell_of_every_source() -> None:
    sources, registry = KnownSources(), CollectorRegistry()
    sources.take(told(LEFT_ALONE))
    registry.register(SourceMetrics(sources, lambda: NOON))
    text = generate_latest(registry).decode()
    for line in (
        'gexlake_source_requests_total{source="https://hist.gex.bot"} 4.0',
        'gexlake_source_successes_total{source="https://hist.gex.bot"} 3.0',
        'gexlake_source_response_seconds{source="https://hist.gex.bot"} 0.25',
        'gexlake_source_left_alone{source="https://hist.gex.bot"} 1.0',
        'gexlake_source_deactivated{source="https://hist.gex.bot"} 0.0',
    ):
        assert line in text.splitlines()
