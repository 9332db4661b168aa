"""Bodies of webhooks: what is a frame, what an object, what is ignored and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.errors import BadRequest, Unprocessable
from services.intake.webhooks.frames import (
    MAX_DEPTH,
    MAX_NAME_LENGTH,
    Frame,
    read_frame,
    split_topic,
    why_ignored,
)

TRADE = {"option_chain_id": "ARM260116C00118000", "price": "2.80"}
OK = {"response": {}, "status": "ok"}


def frame_of(value: Any) -> Frame:
    return read_frame(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "frame"),
    [
        ([None, None, "t:SPX", "new_msg", {"data": TRADE}], ("t:SPX", "new_msg", TRADE)),
        (["1", 2, "t", None, TRADE], ("t", None, TRADE)),
        ([None, None, "t", "e", {"data": [TRADE]}], ("t", "e", [TRADE])),
        ([None, None, "t", "e", {"data": TRADE, "at": 1}], ("t", "e", {"data": TRADE, "at": 1})),
        (["option_trades:SPX", TRADE], ("option_trades:SPX", None, TRADE)),
        ({"topic": "t", "payload": TRADE}, ("t", None, TRADE)),
        ({"topic": "t", "event": "e", "ref": 1, "payload": {"data": TRADE}}, ("t", "e", TRADE)),
        ({"type": "t", "data": TRADE}, ("t", None, TRADE)),
        ({"feed": "t", "data": None, "payload": 5}, ("t", None, {"feed": "t", "data": None, "payload": 5})),
        ({"kind": "t", "price": 1}, ("t", None, {"kind": "t", "price": 1})),
        ({"topic": "t", "data": TRADE, "at": 1}, ("t", None, {"topic": "t", "data": TRADE, "at": 1})),
        ({"topic": "t", "event": 5, "data": 1}, ("t", None, {"topic": "t", "event": 5, "data": 1})),
        ({"topic": 5, "kind": "t", "data": 1}, ("t", None, {"topic": 5, "kind": "t", "data": 1})),
        ({"topic": " ", "data": TRADE}, (None, None, {"topic": " ", "data": TRADE})),
        (TRADE, (None, None, TRADE)),
        ({}, (None, None, {})),
    ],
)
def test_frames_and_objects_are_read_also_if_they_are_encoded_twice(value: Any, frame: Any) -> None:
    assert frame_of(value) == frame
    assert frame_of(json.dumps(value)) == frame


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "body"),
        ([1], "body"),
        ([None, None, "t"], "body"),
        ([None, None, "t", "e", {}, 6], "body"),
        (5, "body"),
        (None, "body"),
        (True, "body"),
        ("5", "body"),
        ("{", "body"),
        ('"{}"', "body"),
        ([None, None, 5, "e", {}], "topic"),
        ([None, None, "", "e", {}], "topic"),
        ([None, None, "t", 5, {}], "event"),
        ([None, None, "t", "e", "text"], "payload"),
        (["t", []], "payload"),
        ([["t"], {}], "topic"),
        ({"kind": "t" * (MAX_NAME_LENGTH + 1)}, "kind"),
        ({"event": "t" * (MAX_NAME_LENGTH + 1)}, "event"),
    ],
)
def test_what_is_neither_names_the_field(value: Any, field: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        frame_of(value)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: it ")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"\xff", b"{", b"nope", b"[NaN]", b"[Infinity]", b'"\\ud800"', b'{"a": 1e999}', b"{}{}"),
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        read_frame(body)
    assert (caught.value.field, caught.value.rule) == ("body", "json")


def test_nesting_has_a_limit() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert read_frame(nested(MAX_DEPTH)).topic is None
    with pytest.raises(BadRequest, match=f"more than {MAX_DEPTH}"):
        read_frame(nested(MAX_DEPTH + 1))
    wide = [[1]] * MAX_DEPTH * 2
    assert frame_of({"a": wide}).payload == {"a": wide}


def test_odd_but_valid_json_is_kept() -> None:
    body = (
        b'\xef\xbb\xbf{"topic": "a\\u0000b", "data": {"n": 123456789012345678901234567890, "n2": 1, "n2": 2}}'
    )
    assert read_frame(body) == ("a\0b", None, {"n": 123456789012345678901234567890, "n2": 2})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([None, "7", "phoenix", "phx_reply", OK], "heartbeat"),
        ([None, "7", "phoenix", "heartbeat", {}], "heartbeat"),
        (["3", "3", "option_trades_super_algo", "phx_reply", OK], "heartbeat"),
        ({"topic": "market_agg_socket", "event": "phx_reply", "payload": OK}, "heartbeat"),
        (["option_trades:SPX", OK], "join_ack"),
        (["option_trades:SPX", {"response": {}, "status": "error"}], None),
        (["option_trades:SPX", {**OK, "price": 1}], None),
        (["option_trades:SPX", {"response": {"price": 1}, "status": "ok"}], None),
        ([None, None, "t", "phx_reply", {"response": {}, "status": "error"}], None),
        ([None, None, "t", "new_msg", OK], None),
        ([None, None, "t", "new_msg", {"data": TRADE}], None),
    ],
)
def test_replies_without_data_are_ignored(value: Any, reason: str | None) -> None:
    assert why_ignored(frame_of(value)) == reason


@given(topic=st.none() | st.text())
def test_a_topic_and_its_symbol_are_the_topic_as_it_was_sent(topic: str | None) -> None:
    name, symbol = split_topic(topic)
    assert topic == (name if symbol is None else f"{name}:{symbol}")
