"""A file that is posted inline, as raw_body."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import date
from typing import Any

import pytest

from services.intake.errors import Unprocessable
from services.intake.history.request import HistoryRequest, read_history_request
from shared.bus.storage.posted_files import MAX_PACKED_BYTES
from shared.sources.gate import SourceGate
from tests.support.importer.lake import records

GATE = SourceGate.parse(("https://hist.gex.bot/", "https://app.gexbot.com/hist/"))
URL = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=S3CRET"
PAGE = "https://app.gexbot.com/hist/NDX/classic/gex_zero"
FILE = json.dumps(records(3))


def read(**body: Any) -> HistoryRequest:
    return read_history_request(body, GATE)


def test_a_posted_file_is_part_of_the_request_but_not_of_the_jobs_identity() -> None:
    plain, posted = read(url=URL), read(url=URL, raw_body=FILE)
    assert plain.posted is None
    assert posted.posted is not None
    assert posted.posted.sha256 == hashlib.sha256(FILE.encode()).hexdigest()
    assert posted.job_id == plain.job_id
    digests = {each.url_sha256 for each in (plain, posted, read(url=URL, raw_body=FILE + " "))}
    assert len(digests) == 3
    assert "25000" not in repr(posted)


def test_a_posted_file_is_never_mistaken_for_another_field() -> None:
    url = "https://hist.gex.bot/day.json"
    for text in ("https://hist.gex.bot/other.json", "gex_full", "NDX"):
        asked = read(raw_body=text, data={"u": url}, t="SPX", e="gex_zero")
        assert (asked.ticker, asked.endpoint, asked.url) == ("SPX", "gex_zero", url)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (FILE, date(2025, 11, 14)),
        ('[{"ticker":"NDX","timestamp" : 1763130600.5}]', date(2025, 11, 14)),
        ('{"timestamp":1763182800}', date(2025, 11, 15)),
        ('[{"timestamp":999999999999}]', None),
        ('[{"timestamp":"1763130600"}]', None),
        (" " * 70_000 + FILE, None),
    ],
)
def test_each_day_of_a_page_without_a_day_is_a_job_of_its_own(text: str, day: date | None) -> None:
    asked = read(url=PAGE, raw_body=text)
    assert asked.trading_day == day
    assert asked.base_url == (f"{PAGE}/{day}" if day else PAGE)
    assert asked.url == PAGE


def test_a_day_in_the_url_beats_that_of_the_file() -> None:
    assert read(url=f"{PAGE}/2026-07-01", raw_body=FILE).trading_day == date(2026, 7, 1)


@pytest.mark.parametrize(
    ("raw_body", "rule", "words"),
    [
        ("", "missing", "it is empty"),
        (" \n", "missing", "it is empty"),
        (records(1), "string", "must be a string"),
        (7, "string", "must be a string"),
    ],
)
def test_what_is_no_text_of_a_file_is_refused(raw_body: object, rule: str, words: str) -> None:
    with pytest.raises(Unprocessable, match=words) as refused:
        read(url=URL, raw_body=raw_body)
    assert (refused.value.field, refused.value.rule) == ("raw_body", rule)


def test_a_file_that_no_message_can_hold_is_refused() -> None:
    noise = random.Random(1).randbytes(MAX_PACKED_BYTES).hex()
    with pytest.raises(Unprocessable, match="the limit is 921600; save it as a file") as refused:
        read(url=URL, raw_body=noise)
    assert refused.value.rule == "size"
