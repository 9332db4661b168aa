"""Asking for the rest of a file, and what is taken for it."""

from __future__ import annotations

import httpx
import pytest

from services.fetcher.sources.ranges import length, range_request, strong_etag, total_of_rest
from services.fetcher.sources.source import ResumePoint

ETAG = '"0x8DC"'
RESUME_POINT = ResumePoint(size_bytes=100, etag=ETAG, total_bytes=250)
GOOD = {"Content-Range": "bytes 100-249/250", "ETag": ETAG, "Content-Length": "150"}


def test_the_rest_is_asked_for_only_of_the_same_file() -> None:
    assert range_request(RESUME_POINT) == {"Range": "bytes=100-", "If-Range": ETAG}


@pytest.mark.parametrize("dropped", [None, "Content-Length"])
def test_an_answer_with_just_the_rest_is_taken(dropped: str | None) -> None:
    headers = {name: value for name, value in GOOD.items() if name != dropped}
    assert total_of_rest(httpx.Headers(headers), RESUME_POINT) == 250


def test_a_size_that_was_not_known_is_learnt() -> None:
    assert total_of_rest(httpx.Headers(GOOD), ResumePoint(100, ETAG, None)) == 250


@pytest.mark.parametrize(
    "changes",
    [
        {"Content-Range": ""},
        {"Content-Range": "bytes 100-249/*"},
        {"Content-Range": "bytes 0-249/250"},
        {"Content-Range": "bytes 99-249/250"},
        {"Content-Range": "bytes 101-249/250"},
        {"Content-Range": "bytes 100-199/250", "Content-Length": "100"},
        {"Content-Range": "bytes 100-250/251", "Content-Length": "151"},
        {"Content-Range": "bytes 100-249/300"},
        {"Content-Range": "items 100-249/250"},
        {"Content-Range": "bytes 100-249/250, bytes 0-1/250"},
        {"Content-Range": f"bytes 100-249/{'9' * 5000}"},
        {"Content-Length": "250"},
        {"ETag": '"other"'},
        {"ETag": f"W/{ETAG}"},
        {"ETag": ""},
    ],
    ids=str,
)
def test_an_answer_that_leaves_doubt_is_not(changes: dict[str, str]) -> None:
    assert total_of_rest(httpx.Headers({**GOOD, **changes}), RESUME_POINT) is None


@pytest.mark.parametrize(
    "value", ["", "W/" + ETAG, "0x8DC", '"', '"a"b"', '"a b"', f'"{"a" * 500}"', '"\xe9"']
)
def test_only_a_strong_entity_tag_counts(value: str) -> None:
    assert strong_etag({"ETag": value}) is None
    assert strong_etag({"ETag": ETAG}) == ETAG


@pytest.mark.parametrize(
    ("value", "size"), [("0", 0), ("250", 250), ("", None), ("-1", None), ("²", None), ("9" * 5000, None)]
)
def test_a_length_is_a_number_of_reasonable_size(value: str, size: int | None) -> None:
    assert length({"Content-Length": value}) == size
