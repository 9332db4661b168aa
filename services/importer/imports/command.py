"""The import that a command asks for."""

from __future__ import annotations

from services.importer.imports.task import ImportTask
from services.importer.interruption import Interruption
from services.importer.limits import ImportLimits
from services.importer.reader.source import OpenFile
from shared.bus.messages import ImportFile


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
