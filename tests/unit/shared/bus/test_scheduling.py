"""Which priorities may take a free slot."""

from __future__ import annotations

import pytest

from gexlake.api.jobs import Priority
from shared.bus.consumer.scheduling import allowed


@pytest.mark.parametrize(
    ("free", "slots", "expected"),
    [
        (0, 4, set()),
        (1, 4, {Priority.CRITICAL}),
        (2, 4, set(Priority)),
        (4, 4, set(Priority)),
        (1, 1, set(Priority)),
        (0, 1, set()),
    ],
)
def test_the_last_free_slot_is_reserved_for_critical_work(
    free: int, slots: int, expected: set[Priority]
) -> None:
    assert allowed(free, slots) == expected
