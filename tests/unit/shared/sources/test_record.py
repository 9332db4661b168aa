"""What is known of a source, and how it is named."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.sources import Circuit
from shared.bus import subjects
from shared.sources.record import SourceRecord, origin_of
from tests.support.values import NOON

SOURCE = "https://hist.gex.bot"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://hist.gex.bot/day.json?sig=secret", SOURCE),
        ("https://HIST.gex.bot.:443/day.json", SOURCE),
        ("https://hist.gex.bot:8443/day.json", f"{SOURCE}:8443"),
        ("http://127.0.0.1:80/day.json", "http://127.0.0.1"),
        ("http://[::1]:8080/day.json", "http://[::1]:8080"),
        ("https://user:secret@hist.gex.bot/", SOURCE),
        ("file:///days/day.json", None),
        ("https:///day.json", None),
        ("https://hist.gex.bot:many/day.json", None),
        ("https://[::1/day.json", None),
        ("", None),
    ],
)
def test_a_source_is_scheme_host_and_odd_port(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.from_regex(r"https?://[^/]*@?[^/]+:?")))
def test_whatever_a_url_is_its_source_is_named_without_its_secrets(url: str) -> None:
    origin = origin_of(url)
    if origin is not None:
        assert origin_of(f"{origin}/") == origin
        assert not set("?#@/") & set(origin.partition("://")[2])
        assert re.fullmatch(r"gex\.source\.[A-Za-z0-9_-]+", subjects.source(origin))


def test_a_record_of_this_version_can_be_read_by_later_ones() -> None:
    """Fields may only be added: the stream outlives the version that wrote it."""
    written = (
        b'{"base_url":"https://hist.gex.bot","requests":9,"successes":4,"mean_response_s":0.25,'
        b'"last_success_at":"2025-11-14T17:00:00Z","last_error":"https://hist.gex.bot answered 503",'
        b'"failures_in_a_row":5,"openings":1,"open_until":"2025-11-14T17:00:30Z","probe_until":null}'
    )
    record = SourceRecord(
        base_url=SOURCE,
        requests=9,
        successes=4,
        mean_response_s=0.25,
        last_success_at=NOON,
        last_error=f"{SOURCE} answered 503",
        failures_in_a_row=5,
        openings=1,
        open_until=NOON + timedelta(seconds=30),
    )
    assert SourceRecord.model_validate_json(written) == record
    later = written.replace(b'"openings"', b'"failing_since":null,"openings"')
    later = later.replace(b"}", b',"given_name":null,"deactivated_at":null,"deactivated_by":null}')
    assert record.model_dump_json().encode() == later


def test_a_record_names_and_rates_its_source() -> None:
    record = SourceRecord(base_url="http://127.0.0.1:8000", requests=8, successes=6)
    assert (record.name, record.reliability) == ("127.0.0.1:8000", 0.75)
    assert record.source_id == uuid5(NAMESPACE_URL, "http://127.0.0.1:8000")


def test_a_source_that_was_never_asked_has_no_reliability() -> None:
    assert SourceRecord(base_url=SOURCE).reliability is None


def test_the_circuit_follows_the_clock() -> None:
    left_alone = SourceRecord(base_url=SOURCE, open_until=NOON)
    assert SourceRecord(base_url=SOURCE).circuit(NOON) is Circuit.CLOSED
    assert left_alone.circuit(NOON - timedelta(seconds=1)) is Circuit.OPEN
    assert left_alone.circuit(NOON) is Circuit.HALF_OPEN


def test_every_source_has_one_subject_below_all_sources() -> None:
    subject = subjects.source("https://hist.gex.bot:8443")
    assert subject == "gex.source.https-3A-2F-2Fhist-2Egex-2Ebot-3A8443"
    assert subject.startswith(subjects.ALL_SOURCES.removesuffix(">"))
