"""Which query runs next: slots for any query, and one for a quick turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum


class Slot(StrEnum):
    """The kind of a slot."""

    FULL = "full"
    """A query may take all its time."""
    QUICK = "quick"
    """A query may take a moment."""


@dataclass(eq=False)
class _Waiter:
    granted: asyncio.Future[Slot]
    had_quick_turn: bool


class Slots:
    """Grants slots: the full ones to the oldest that waits, the quick one to the newest without a turn.

    So a quick query is answered soon, however many slow ones run or wait, and a slow one is not passed over.

    Args:
        full: how many full slots there are.
    """

    def __init__(self, full: int) -> None:
        self._full = full
        self._quick_is_free = True
        self._waiters: list[_Waiter] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def take(self, *, had_quick_turn: bool = False) -> Slot:
        """Wait for a slot and return its kind; give it back with ``give_back``.

        Args:
            had_quick_turn: whether only a full slot is of use.
        """
        if self._full:
            self._full -= 1
            return Slot.FULL
        if self._quick_is_free and not had_quick_turn:
            self._quick_is_free = False
            return Slot.QUICK
        waiter = _Waiter(asyncio.get_running_loop().create_future(), had_quick_turn)
        self._waiters.append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.granted.cancelled():
                self.give_back(waiter.granted.result())
            raise

    def give_back(self, slot: Slot) -> None:
        """Give a slot to the next that waits for it."""
        if slot is Slot.FULL:
            following = self._waiters[0] if self._waiters else None
        else:
            following = next((each for each in reversed(self._waiters) if not each.had_quick_turn), None)
        if following is not None:
            self._waiters.remove(following)
            following.granted.set_result(slot)
        elif slot is Slot.FULL:
            self._full += 1
        else:
            self._quick_is_free = True
