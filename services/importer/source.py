"""What is imported, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from services.importer.formats.format import Format
from services.importer.statements_duckdb import Interruption


@dataclass(frozen=True)
class Source:
    """A staged file and what its records are held to.

    Args:
        path: the staged file: an array or one record a line, plain or gzip.
        format: the vendor's package that it is of.
        ticker: what every record must be of.
        day: the trading day that every record must lie in; None: that of the first record.
        max_strays: so many records outside that day are dropped instead of refused.
        interruption: by which the work may be ended from outside.
    """

    path: Path
    format: Format
    ticker: str
    day: date | None
    max_strays: int
    interruption: Interruption
