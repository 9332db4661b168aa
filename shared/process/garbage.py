"""Garbage collection of services that handle many live payloads."""

from __future__ import annotations

import atexit
import gc
from typing import Final

_THRESHOLD: Final = 20_000
"""New objects, less those that are gone, between two collections; Python's own is 700."""


def collect_less_garbage() -> None:
    """Exempt what is there for good from garbage collection, and look for cycles less often.

    The strikes of a live payload are hundreds of lists without cycles. Otherwise a quarter of the processor
    time of a payload in intake, and half of its decoding in the importer, is spent on looking through
    modules and models.
    """
    gc.collect()
    gc.freeze()
    # Or DuckDB reports its own modules as leaks on standard error when the process ends.
    atexit.register(gc.unfreeze)
    gc.set_threshold(_THRESHOLD)
