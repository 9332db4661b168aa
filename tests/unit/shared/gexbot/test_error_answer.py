"""The vendor's errors are recognized and quoted without secrets."""

from __future__ import annotations

import json

import pytest

from shared.gexbot.error_answer import MAX_ERROR_BYTES, error_in


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"error": "not subscribed"}, "not subscribed"),
        ({"error": "Classic package does not have access."}, "Classic package does not have access."),
        ({"error": {"code": 403}, "url": None}, "... 403}"),
        ({"error": ""}, "no text"),
        ({"error": "bad\n\u00e9 https://hist.gex.bot/a.json?sig=s1gnature here"}, "bad  ... here"),
        ({"error": "key " + "k" * 25}, "key ..."),
        ({"error": "word " * 100}, ("word " * 24)),
    ],
)
def test_an_error_is_quoted_without_what_may_be_secret(document: object, text: str) -> None:
    assert error_in(json.dumps(document).encode()) == text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'[{"error":"x"}]',
        b'{"url":"https://hist.gex.bot/a.json"}',
        b'{"error":"x","timestamp":1}',
        b'{"error":',
        b"\xff",
        b"[" * 4000,
        b'{"error":"%b"}' % (b"x" * MAX_ERROR_BYTES),
    ],
)
def test_anything_else_is_no_error(content: bytes) -> None:
    assert error_in(content) is None
