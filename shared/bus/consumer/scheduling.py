"""Which priorities a worker pulls from, and in which order."""

from __future__ import annotations

from typing import Final

from gexlake.api.jobs import Priority

URGENT_FIRST: Final = tuple(Priority)
_PROMOTE_EVERY: Final = 5
"""Every fifth message is looked for in a less urgent priority first, so that none starves."""


def order(pulled: int) -> tuple[Priority, ...]:
    """Return the priorities in the order to pull from, after ``pulled`` messages."""
    if pulled % _PROMOTE_EVERY != _PROMOTE_EVERY - 1:
        return URGENT_FIRST
    less_urgent = URGENT_FIRST[1:]
    promoted = less_urgent[pulled // _PROMOTE_EVERY % len(less_urgent)]
    return (promoted, *(priority for priority in URGENT_FIRST if priority is not promoted))


def allowed(free_slots: int, slots: int) -> frozenset[Priority]:
    """Return the priorities that may take one of the free slots.

    The last free slot is reserved for critical work, unless the worker has only one slot.
    """
    if free_slots < 1:
        return frozenset()
    if free_slots == 1 and slots > 1:
        return frozenset({Priority.CRITICAL})
    return frozenset(Priority)
