"""One import: a staged file, its job, and the rules for it; without the bus and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from services.importer.limits import MAX_FILE_BYTES
from services.importer.reader.source import RecordSource


@dataclass(frozen=True)
class ImportTask(RecordSource):
    """A staged file to import.

    Args:
        job_id: the job that it belongs to.
        generation: the job's generation.
        sha256: the file's checksum.
        size_bytes: the file's size.
        min_share: the file is refused if it has a smaller share of the records or rows that the partition
            holds.
        max_plain_bytes: gzip data that unpacks to more is refused.
    """

    job_id: str
    generation: int
    sha256: str
    size_bytes: int
    min_share: float
    max_plain_bytes: int = MAX_FILE_BYTES
