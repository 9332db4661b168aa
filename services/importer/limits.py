"""The rules for imports that settings can change; without the settings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_FILE_BYTES: Final = 2 * 1024**3
"""The maximum size of a file, unpacked, unless a setting names another."""


@dataclass(frozen=True)
class ImportLimits:
    """The rules for imports that settings can change.

    Args:
        min_share: a file with a smaller share of the records or rows that the partition holds is refused.
        max_out_of_day: up to this many records outside the trading day are dropped; a file with more is
            refused.
        max_file_bytes: gzip data that unpacks to more is refused.
        max_rejected_share: a flat file with a larger share of incorrect rows is refused.
    """

    min_share: float = 0.9
    max_out_of_day: int = 0
    max_file_bytes: int = MAX_FILE_BYTES
    max_rejected_share: float = 0.01
