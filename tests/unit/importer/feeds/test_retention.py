"""Which messages of FEED are removed when it is nearly full: the oldest, and only those that are stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import StreamState

from services.importer.feeds.retention import first_to_keep

CAP = 1000


def state(first: int, messages: int, size_bytes: int) -> StreamState:
    return StreamState(
        messages=messages,
        bytes=size_bytes,
        first_seq=first,
        last_seq=first + messages - 1,
        consumer_count=1,
    )


def test_a_stream_with_room_keeps_all() -> None:
    assert first_to_keep(state(1, 84, 840), CAP, stored=84) is None


def test_a_nearly_full_stream_keeps_seven_tenths_of_its_cap() -> None:
    assert first_to_keep(state(11, 100, 1000), CAP, stored=110) == 41


def test_messages_that_are_not_stored_are_kept() -> None:
    assert first_to_keep(state(11, 100, 1000), CAP, stored=20) == 21
    assert first_to_keep(state(11, 100, 1000), CAP, stored=10) is None


@given(st.integers(1, 10**6), st.integers(0, 1000), st.integers(0, 2 * CAP), st.integers(0, 10**6))
def test_no_message_is_removed_before_it_is_stored(
    first: int, messages: int, size_bytes: int, stored: int
) -> None:
    kept = first_to_keep(state(first, messages, size_bytes), CAP, stored)
    assert kept is None or first < kept <= stored + 1
