"""Subjects, durable consumer names and stream names."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority, Stage
from shared.bus import subjects
from shared.bus.subjects import EventType

any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(any_text)
def test_any_text_becomes_one_token(text: str) -> None:
    token = subjects.encode_token(text)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)


@given(any_text, any_text)
def test_two_texts_never_share_a_token(one: str, other: str) -> None:
    assert (subjects.encode_token(one) == subjects.encode_token(other)) == (one == other)


@given(st.sampled_from(Stage), st.sampled_from(Priority), any_text)
def test_a_command_subject_has_five_tokens(stage: Stage, priority: Priority, ticker: str) -> None:
    subject = subjects.command(stage, priority, ticker)
    assert subject.split(".") == ["gex", "job", stage, priority, subjects.encode_token(ticker)]


def test_each_ticker_and_endpoint_has_its_own_lease_subject() -> None:
    assert subjects.vendor_lease("^SPX", "gex_zero") == "gex.turn.-5ESPX.gex_zero"


@pytest.mark.parametrize(
    ("ticker", "token"), [("NQ_NDX", "NQ_NDX"), ("BRK.B", "BRK-2EB"), ("^SPX", "-5ESPX"), ("A-B", "A-2DB")]
)
def test_a_ticker_keeps_its_letters_in_its_token(ticker: str, token: str) -> None:
    assert subjects.encode_token(ticker) == token


def test_names_are_those_of_the_design() -> None:
    job_id = uuid4()
    assert subjects.commands(Stage.FETCH) == "gex.job.fetch.>"
    assert subjects.commands(Stage.IMPORT, Priority.LOW) == "gex.job.import.low.>"
    assert subjects.durable(Stage.IMPORT, Priority.CRITICAL) == "import_critical"
    assert subjects.event(EventType.STAGED, job_id) == f"gex.event.job.staged.{job_id}"
    assert subjects.dead("gex.job.fetch.low.SPX") == "gex.dead.gex.job.fetch.low.SPX"
    assert subjects.heartbeat("fetcher") == "gex.heartbeat.fetcher"
    assert subjects.ping("fetcher") == "$SRV.PING.fetcher"
    assert subjects.next_command(Stage.FETCH, Priority.HIGH) == "$JS.API.CONSUMER.MSG.NEXT.JOBS.fetch_high"
    assert subjects.progress(job_id) == f"gex.progress.{job_id}"


def test_priorities_are_declared_most_urgent_first() -> None:
    assert [str(priority) for priority in Priority] == ["critical", "high", "medium", "low"]
