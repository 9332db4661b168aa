"""A lock for each partition: an import and a live batch of the same one exclude each other."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from shared.gexbot.partition import Partition


class PartitionLocks:
    """The partitions that a transaction is about to change; its methods may be called from any thread.

    A transaction does not see the rows that another one commits beside it: an import would leave the live
    rows of its partition in place.
    """

    def __init__(self) -> None:
        self._held: set[Partition] = set()
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, partitions: Iterable[Partition]) -> Iterator[None]:
        """Hold partitions, all at once, as soon as nothing else holds one of them."""
        wanted = frozenset(partitions)
        with self._changed:
            self._changed.wait_for(lambda: not self._held & wanted)
            self._held |= wanted
        try:
            yield
        finally:
            with self._changed:
                self._held -= wanted
                self._changed.notify_all()
