"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
_STEP_S: Final = 1e-6
"""What a step of the loop takes, so that time passes where a timer is due at once, again and again."""


class _NoWaiting(selectors.SelectSelector):
    """Reports what is ready now, and how long the loop would have waited."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("nothing is left to wait for in virtual time")
        self.waited_s += max(timeout, _STEP_S)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for code without threads and sockets; its time starts at 0 s."""

    def __init__(self) -> None:
        self._selector_without_waits = _NoWaiting()
        super().__init__(self._selector_without_waits)

    def time(self) -> float:
        """Return the seconds that the loop would have waited so far."""
        return self._selector_without_waits.waited_s


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
