"""How many examples a property is tested with: a quarter in quick runs."""

from __future__ import annotations

import os
from typing import Final

PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE", "quick")
"""``quick`` in ``make test``, ``full`` in ``make test-slow``, ``fuzz`` in ``make fuzz``."""


def examples(full: int) -> int:
    """Return how many of the ``full`` number of examples this run tests."""
    return full // 4 if PROFILE == "quick" else full
