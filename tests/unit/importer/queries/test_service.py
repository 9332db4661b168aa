"""How the importer refuses a request over NATS: the code says whether to correct it or to send it again."""

from __future__ import annotations

import pytest

from services.importer.errors import QueryRefused, StorageTrouble
from services.importer.queries.service import _refusal


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (QueryRefused("send one statement, not 2"), 400, "send one statement, not 2"),
        (QueryRefused("the query took longer than 1 s", 408), 408, "took longer than 1 s"),
        (StorageTrouble("reading the lake", OSError("no space left")), 503, "no space left"),
        (KeyError("secret detail"), 500, "an unexpected error, which is in the importer's log"),
    ],
)
def test_an_error_is_answered_with_a_code(error: Exception, code: int, text: str) -> None:
    refused = _refusal(error)
    assert refused.code == code
    assert text in str(refused)
    assert "secret detail" not in str(refused)
