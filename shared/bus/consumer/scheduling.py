"""Which message a worker takes next: by level, by deadline, and with a turn for LOW work."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from gexlake.api.jobs import PROMISES, Priority

URGENT_FIRST: Final = tuple(Priority)


def allowed(free_slots: int, slots: int) -> frozenset[Priority]:
    """Return the priorities that may take one of the free slots.

    The last free slot is reserved for critical work, unless the worker has only one slot.
    """
    if free_slots < 1:
        return frozenset()
    if free_slots == 1 and slots > 1:
        return frozenset({Priority.CRITICAL})
    return frozenset(Priority)


PROMISE_S: Final = {priority: promise.total_seconds() for priority, promise in PROMISES.items()}
"""Time from the request to the import; LOW has no promise."""
WINDOW: Final = 8
"""How many messages of a priority are compared by deadline."""
_NEAR: Final = 1 / 3
"""A deadline is near when this share of the promise is left."""
_LOW_TURN_AFTER: Final = 8
_LOW_TURN_AT_LATEST_AFTER: Final = 9
T = TypeVar("T")


def deadline_s(priority: Priority, requested_at_s: float) -> float:
    """Return when a request must be done, in the unit of ``requested_at_s``; infinity for LOW."""
    return requested_at_s + PROMISE_S.get(priority, math.inf)


@dataclass(frozen=True)
class Turn:
    """What a slot takes next.

    Args:
        priority: whose message, the one with the earliest deadline.
        passed_over: to be given to the next ``choose``.
    """

    priority: Priority
    passed_over: int


def choose(
    deadlines: Mapping[Priority, float], now_s: float, *, free_slots: int, slots: int, passed_over: int = 0
) -> Turn | None:
    """Return the priority that takes a free slot, or None when nothing that waits may take it.

    The most urgent priority goes first. HIGH and MEDIUM work whose deadline is near competes by its deadline
    with the priority above; once its deadline has passed, it competes with its own again, so that broken
    promises break no others. LOW work gets at least one turn in ten. The last free slot is for CRITICAL, and
    so is the next turn of a stage with one slot, as far as LOW's turn allows.

    Args:
        deadlines: the earliest deadline of each priority that has work waiting.
        now_s: the present moment.
        free_slots: how many slots are free.
        slots: how many slots there are.
        passed_over: how many turns others have had since LOW's last one, while LOW work waited.
    """
    may_take = allowed(free_slots, slots)
    waiting = [priority for priority in deadlines if priority in may_take]
    if not waiting:
        return None
    if _is_turn_of_low(waiting, passed_over):
        return Turn(Priority.LOW, 0)
    first = min(waiting, key=lambda priority: _rank(priority, deadlines[priority], now_s))
    if Priority.LOW not in may_take:  # no turn that LOW could have had
        return Turn(first, passed_over)
    return Turn(first, passed_over + 1 if Priority.LOW in waiting and first is not Priority.LOW else 0)


def by_deadline(window: Iterable[T], deadline_of: Callable[[T], float]) -> list[T]:
    """Return messages of one priority, the earliest deadline first; equal ones stay in their order.

    The first is worked on. The others are returned to the broker in this order, in which it delivers them
    again before any that it has not delivered yet.
    """
    return sorted(window, key=deadline_of)


def _is_turn_of_low(waiting: Collection[Priority], passed_over: int) -> bool:
    if Priority.LOW not in waiting:
        return False
    after = _LOW_TURN_AT_LATEST_AFTER if Priority.CRITICAL in waiting else _LOW_TURN_AFTER
    return passed_over >= after


def _rank(priority: Priority, deadline_s: float, now_s: float) -> tuple[int, float]:
    level = URGENT_FIRST.index(priority)
    is_near = 0 <= deadline_s - now_s < _NEAR * PROMISE_S.get(priority, 0.0)
    return (level - 1 if is_near and level > 0 else level, deadline_s)
