"""What an import is held to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportLimits:
    """The rules that settings can change.

    Args:
        min_share: a file with a smaller share of the records or rows that the partition holds is refused.
        max_strays: so many records outside the trading day are dropped instead of refused.
    """

    min_share: float = 0.9
    max_strays: int = 0
