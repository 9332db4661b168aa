"""Poll a condition until a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
What = str | Callable[[], str]
DEADLINE_S = 20.0
_STEP_S = 0.02


@overload
async def eventually(
    look: Callable[[], Awaitable[T | None]], *, within_s: float = ..., what: What = ...
) -> T: ...
@overload
async def eventually(look: Callable[[], T | None], *, within_s: float = ..., what: What = ...) -> T: ...
async def eventually(
    look: Callable[[], Awaitable[T | None] | T | None], *, within_s: float = DEADLINE_S, what: What = ""
) -> T:
    """Return the first truthy value of ``look``.

    Args:
        look: called until its value is truthy.
        within_s: the time limit.
        what: names the condition in the error; a callable is called when the time is over.

    Raises:
        AssertionError: no value was truthy in time; the message ends with the last value.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = look()
        seen = await value if isinstance(value, Awaitable) else value
        if seen:
            return seen
        if time.monotonic() > deadline:
            awaited = (what if isinstance(what, str) else what()) or "it"
            raise AssertionError(f"{awaited} did not happen within {within_s} s; last seen: {seen!r}")
        await asyncio.sleep(_STEP_S)
