"""Wait for something with a deadline, never by a fixed sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
DEADLINE_S = 20.0
_STEP_S = 0.02


@overload
async def eventually(
    look: Callable[[], Awaitable[T | None]], *, within_s: float = ..., what: str = ...
) -> T: ...
@overload
async def eventually(look: Callable[[], T | None], *, within_s: float = ..., what: str = ...) -> T: ...
async def eventually(
    look: Callable[[], Awaitable[T | None] | T | None], *, within_s: float = DEADLINE_S, what: str = ""
) -> T:
    """Return the first truthy thing that ``look`` gives.

    Raises:
        AssertionError: it gave none in time; the last value is in the message.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = look()
        seen = await value if isinstance(value, Awaitable) else value
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'it'} did not happen within {within_s} s; last seen: {seen!r}")
        await asyncio.sleep(_STEP_S)
