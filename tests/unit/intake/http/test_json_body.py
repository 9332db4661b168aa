"""Taking a posted body apart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from services.intake.errors import BadRequest, TooLarge, UnsupportedMediaType
from services.intake.history.json_object import read_object
from services.intake.http.json_body import check_content_type, read_json_object, read_limited


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/plain;charset=UTF-8",
        "application/vnd.api+json",
    ],
)
def test_json_is_taken_under_every_type_that_clients_send(header: str | None) -> None:
    check_content_type(header)


@pytest.mark.parametrize(
    "header", ["application/x-www-form-urlencoded", "text/html", "multipart/form-data; boundary=x", "json"]
)
def test_another_content_type_is_refused_by_name(header: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=header.partition(";")[0]):
        check_content_type(header)


def test_only_to_a_form_is_it_said_how_curl_sends_json() -> None:
    assert "curl" in str(UnsupportedMediaType("application/x-www-form-urlencoded"))
    assert "curl" not in str(UnsupportedMediaType("text/html"))


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.integers() | st.text(st.characters(codec="utf-8"))
    )
)
def test_an_object_is_read_once_or_twice_encoded(value: dict[str, Any]) -> None:
    once = json.dumps(value)
    assert read_object(once.encode()) == value
    assert read_object(json.dumps(once).encode()) == value


@pytest.mark.parametrize(
    ("body", "rule", "words"),
    [
        (b"", "json", "not JSON"),
        (b"{'a': 1}", "json", r"not JSON \(line 1, column 2\)"),
        (b"\xff\xfe\xfa", "json", "not"),
        (b'{"a": "\\ud800"}', "json", "not valid UTF-8"),
        (b"[" * 100_000, "json", "nested too deeply"),
        (b"[1]", "object", "it is a list"),
        (b'"[1]"', "object", "it is a list"),
        (b"7", "object", "it is a number"),
        (b"null", "object", "it is null"),
        (b"true", "object", "it is true or false"),
        (b'"\\"x\\""', "object", "it is a string"),
        (b'"x"', "json", "not JSON"),
    ],
)
def test_anything_else_is_refused(body: bytes, rule: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        read_object(body)
    assert (caught.value.field, caught.value.rule) == ("body", rule)


class Source:
    """Chunks of a body that count how many were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.taken += 1
            yield chunk


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert await read_limited(aiter(Source(b"ab", b"cd")), "4", limit=4) == b"abcd"


@pytest.mark.parametrize("announced", [None, "5", "wrong"])
async def test_a_body_over_the_limit_is_refused_however_it_is_announced(announced: str | None) -> None:
    source = Source(b"ab", b"cde")
    with pytest.raises(TooLarge, match="limit of 4 bytes"):
        await read_limited(aiter(source), announced, limit=4)
    assert source.taken == 2  # read to its end, so that the client hears the answer


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    source = Source(*[b"abcd"] * 1000)
    with pytest.raises(TooLarge):
        await read_limited(aiter(source), None, limit=4)
    assert source.taken < 20


async def test_a_huge_announced_body_is_not_read_at_all() -> None:
    source = Source(b"ab")
    with pytest.raises(TooLarge):
        await read_limited(aiter(source), "1000000", limit=4)
    assert source.taken == 0


def posted(body: bytes, content_type: str = "application/json") -> Request:
    """Return a request whose body comes in one piece."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "headers": [(b"content-type", content_type.encode())]}, receive)


async def test_only_a_body_that_is_optional_may_be_blank() -> None:
    assert await read_json_object(posted(b" "), optional=True) == {}
    assert await read_json_object(posted(b'{"a": 1}'), optional=True) == {"a": 1}
    with pytest.raises(BadRequest):
        await read_json_object(posted(b" "))
    with pytest.raises(BadRequest, match="it is a number"):
        await read_json_object(posted(b"17"), optional=True)
