"""A staged file to read, and the rules for its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from services.importer.formats import format_of
from services.importer.formats.format import Format
from services.importer.interruption import Interruption


@dataclass(frozen=True)
class OpenFile:
    """A staged file that is held open.

    Args:
        name: its name in the staging folder.
        path: where its bytes are read, as often as needed: always those of this file, although another
            download may take its place in the folder, or the janitor may remove it.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class RecordSource:
    """A staged file to read, and the rules for its records.

    Args:
        file: an array or one record a line, plain or gzip.
        endpoint: names the file's format.
        ticker: of every record.
        day: the trading day of every record; None: that of the first record.
        max_out_of_day: up to this many records outside the trading day are dropped; a file with more is
            refused.
        interruption: ends the work from another thread.
    """

    file: OpenFile
    endpoint: str
    ticker: str
    day: date | None
    max_out_of_day: int
    interruption: Interruption

    @property
    def format(self) -> Format:
        """The format of the file."""
        return format_of(self.endpoint)
