"""Whose turn it is: which priorities a worker asks for work, in which order."""

from __future__ import annotations

from typing import Final

from shared.bus.subjects import Priority

URGENT_FIRST: Final = tuple(Priority)
_PROMOTE_EVERY: Final = 5
"""Every fifth turn begins with a less urgent priority, each in its turn, so that none starves."""


def order(turn: int) -> tuple[Priority, ...]:
    """Return the priorities in the order in which the ``turn``-th message is looked for."""
    if turn % _PROMOTE_EVERY != _PROMOTE_EVERY - 1:
        return URGENT_FIRST
    waiting = URGENT_FIRST[1:]
    promoted = waiting[turn // _PROMOTE_EVERY % len(waiting)]
    return (promoted, *(priority for priority in URGENT_FIRST if priority is not promoted))


def allowed(free_slots: int, slots: int) -> frozenset[Priority]:
    """Return the priorities that may take one of the free slots.

    The last free slot is kept for critical work, unless the worker has only one.
    """
    if free_slots < 1:
        return frozenset()
    if free_slots == 1 and slots > 1:
        return frozenset({Priority.CRITICAL})
    return frozenset(Priority)
