"""One import: a staged file, its job, and the rules for it."""

from __future__ import annotations

from dataclasses import dataclass

from services.importer.interruption import Interruption
from services.importer.reader.source import OpenFile, RecordSource
from services.importer.settings import MAX_FILE_BYTES, ImportLimits
from shared.bus.messages import ImportFile


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


def task_of(
    command: ImportFile, file: OpenFile, limits: ImportLimits, interruption: Interruption
) -> ImportTask:
    """Return the import of an open file that a command asks for."""
    return ImportTask(
        file=file,
        endpoint=command.job.endpoint,
        ticker=command.job.ticker,
        day=command.job.trading_day,
        job_id=str(command.job.job_id),
        generation=command.job.generation,
        sha256=command.sha256,
        size_bytes=command.size_bytes,
        min_share=0.0 if command.force else limits.min_share,
        max_out_of_day=limits.max_out_of_day,
        max_plain_bytes=limits.max_file_bytes,
        interruption=interruption,
    )
