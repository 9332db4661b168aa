"""The key-value metadata in the footer of a Parquet file of the lake.

Nothing in it depends on the clock: the same source, written again in the same way, gives the same bytes.
"""

from __future__ import annotations

from typing import Final

from gexlake import __version__
from shared.gexbot.partition import Partition

SCHEMA_VERSION: Final = 1
"""Grows when a column of a Parquet file is renamed or removed, or gets another type or meaning."""


def metadata_of(partition: Partition, job_id: str, source_sha256: str) -> dict[str, str]:
    """Return the metadata of a partition's Parquet file.

    Args:
        partition: whose rows the file has.
        job_id: the job that imported them.
        source_sha256: the checksum of the staged file that they came from.
    """
    return {
        "gexlake.schema_version": str(SCHEMA_VERSION),
        "gexlake.version": __version__,
        "gexlake.ticker": partition.ticker,
        "gexlake.endpoint": partition.endpoint,
        "gexlake.trading_day": partition.trading_day.isoformat(),
        "gexlake.job_id": job_id,
        "gexlake.source_sha256": source_sha256,
    }
