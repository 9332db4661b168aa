"""The intakes that drive runs, as their keys in the bucket SYMBOLS show them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class _Seen:
    revision: int
    at_s: float


class Owners:
    """When the key of each owner was renewed last, by this process's own clock: clocks are not compared.

    Args:
        clock_s: monotonic seconds.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._seen: dict[str, _Seen] = {}

    def take(self, owner: str, revision: int, *, is_deleted: bool) -> None:
        """Take in a revision of an owner's key."""
        seen = self._seen.get(owner)
        if seen is not None and revision <= seen.revision:
            return
        if is_deleted:
            self._seen.pop(owner, None)
        else:
            self._seen[owner] = _Seen(revision, self._clock_s())

    def is_alive(self, owner: str, lease_s: float) -> bool:
        """Return whether an owner has a key that was renewed within its lease."""
        seen = self._seen.get(owner)
        return seen is not None and self._clock_s() - seen.at_s < lease_s

    def revision(self, owner: str) -> int | None:
        """Return the last known revision of an owner's key; None if it has none."""
        seen = self._seen.get(owner)
        return seen.revision if seen else None

    def expired(self, lease_s: float) -> Iterator[tuple[str, int]]:
        """Yield the owners whose key was not renewed within the lease, with its revision."""
        now_s = self._clock_s()
        for owner, seen in tuple(self._seen.items()):
            if now_s - seen.at_s >= lease_s:
                yield owner, seen.revision

    def clear(self) -> None:
        """Forget all: the bucket was created again."""
        self._seen.clear()
