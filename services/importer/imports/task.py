"""What is imported, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from services.importer.formats import format_of
from services.importer.formats.format import Format
from services.importer.lake.statements import Interruption


@dataclass(frozen=True)
class StagedFile:
    """A staged file that is held open.

    Args:
        name: its name in the staging folder.
        path: where its bytes are read, as often as needed: those of this very file, although another
            download may take its place in the folder, or the janitor removes it.
    """

    name: str
    path: Path

    @property
    def is_packed(self) -> bool:
        """Whether it is gzip data; its name says so."""
        return self.name.endswith(".gz")


@dataclass(frozen=True)
class ImportTask:
    """A staged file, whose it is, and what it is held to.

    Args:
        file: the staged file: an array or one record a line, plain or gzip.
        endpoint: it tells the file's format.
        ticker: what every record must be of.
        day: the trading day that every record must lie in; None: that of the first record.
        job_id: the job that it belongs to.
        generation: the job's generation.
        sha256: the file's checksum.
        size_bytes: the file's size.
        min_share: it is refused with a smaller share of the records or rows that the partition holds.
        max_strays: so many records outside the trading day are dropped instead of refused.
        interruption: by which the work may be ended from outside.
    """

    file: StagedFile
    endpoint: str
    ticker: str
    day: date | None
    job_id: str
    generation: int
    sha256: str
    size_bytes: int
    min_share: float
    max_strays: int
    interruption: Interruption

    @property
    def format(self) -> Format:
        """The vendor's package that the file is of."""
        return format_of(self.endpoint)
