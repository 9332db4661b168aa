"""Waiting with a deadline: what a test that waits in vain is told."""

from __future__ import annotations

import pytest

from tests.support.poll import eventually


async def test_what_was_waited_for_is_put_in_words_when_the_time_is_up() -> None:
    log = ["started"]

    def look() -> bool:
        log.append("looked")
        return False

    with pytest.raises(AssertionError, match=r"^the end of started looked did not happen within 0 s"):
        await eventually(look, within_s=0, what=lambda: f"the end of {' '.join(log[:2])}")


async def test_nothing_is_put_in_words_for_what_happens() -> None:
    asked: list[str] = []

    def what() -> str:
        asked.append("what")
        return "it"

    assert await eventually(lambda: "here", what=what) == "here"
    assert asked == []


async def test_words_may_be_given_at_once() -> None:
    with pytest.raises(AssertionError, match=r"^the sweep did not happen within 0 s; last seen: None"):
        await eventually(lambda: None, within_s=0, what="the sweep")
