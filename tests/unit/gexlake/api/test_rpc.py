"""Requests over NATS: what is read strictly, and what is refused by field."""

from __future__ import annotations

import pytest

from gexlake.api.lake import SqlRequest
from gexlake.api.rpc import Refused, parse_request
from gexlake.api.services import CoverageRequest


def test_an_empty_request_is_an_empty_object() -> None:
    assert parse_request(CoverageRequest, b"") == CoverageRequest()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not json", "request: Invalid JSON"),
        (b"[]", "request: Input should be an object"),
        (b"", "query: Field required"),
        (b'{"query": ""}', "query: String should have at least 1 character"),
        (b'{"query": 5}', "query: Input should be a valid string"),
        (b'{"query": "SELECT 1", "rows": 5}', "rows: Extra inputs are not permitted"),
    ],
)
def test_a_malformed_request_is_refused_by_field(data: bytes, problem: str) -> None:
    with pytest.raises(Refused, match=problem) as caught:
        parse_request(SqlRequest, data)
    assert caught.value.code == 400
