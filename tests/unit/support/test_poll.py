"""Polling with a deadline: the error names the condition."""

from __future__ import annotations

import pytest

from tests.support.poll import eventually


async def test_a_timeout_names_the_condition_and_the_last_value() -> None:
    log = ["started"]

    def look() -> bool:
        log.append("looked")
        return False

    with pytest.raises(AssertionError, match=r"^the end of started looked did not happen within 0 s"):
        await eventually(look, within_s=0, what=lambda: f"the end of {' '.join(log[:2])}")


async def test_the_name_is_not_built_when_the_condition_holds() -> None:
    calls: list[str] = []

    def what() -> str:
        calls.append("what")
        return "it"

    assert await eventually(lambda: "here", what=what) == "here"
    assert calls == []


async def test_the_name_can_be_a_string() -> None:
    with pytest.raises(AssertionError, match=r"^the sweep did not happen within 0 s; last seen: None"):
        await eventually(lambda: None, within_s=0, what="the sweep")
