"""One import as a process of its own: open a lake, import one staged file, close it.

``python -m bench.workloads.import_once STAGED_FILE --sha256 SHA256 --data-dir DIR`` imports a file that lies
in the staging folder of the lake, with the importer's default settings but for those given, and prints how
many rows the partition holds as JSON. Imported here is what the import needs, and neither messages nor
settings.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from services.importer.imports.replace import replace_partition
from services.importer.imports.task import ImportTask
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.lake.partition_tables import PartitionContents
from services.importer.lake.partitions import PartitionRow
from services.importer.memory_profile import (
    ImportMemory,
    MemoryProfile,
    container_memory_mb,
    duckdb_memory_mb,
)
from services.importer.reader.source import OpenFile
from shared.gexbot.source_name import parse_source_name
from shared.paths import LakePaths

_MIN_SHARE: Final = 0.9
_NO_JOB: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Settings:
    """What the lake has to know."""

    paths: LakePaths
    profile: MemoryProfile = MemoryProfile.AUTO
    memory_limit_mb: int | None = None

    @property
    def memory(self) -> ImportMemory:
        """What imports may use."""
        duckdb_mb = duckdb_memory_mb(self.profile, self.memory_limit_mb, container_memory_mb())
        return ImportMemory(duckdb_mb, self.profile)


class NoLedger:
    """Writes no ledger: the import has no job."""

    def committed(
        self, connection: duckdb.DuckDBPyConnection, row: PartitionRow, replaced: PartitionContents
    ) -> None:
        """Do nothing."""

    def completed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
        """Do nothing."""


def import_staged(path: Path, sha256: str, settings: Settings) -> PartitionRow:
    """Import a staged file into the lake of ``settings``, creating the lake if there is none.

    Raises:
        GexlakeError: as ``replace_partition`` and ``Lake.open``.
    """
    lake = Lake.open(settings)
    try:
        return replace_partition(lake, _source(settings.paths, path, sha256), clock=_now, notes=NoLedger())
    finally:
        lake.close()


def _source(paths: LakePaths, path: Path, sha256: str) -> ImportTask:
    ticker, endpoint, name = paths.relative_to_staging(path).split("/")
    return ImportTask(
        file=OpenFile(path.name, path),
        endpoint=endpoint,
        ticker=ticker,
        day=parse_source_name(name).trading_day,
        job_id=_NO_JOB,
        generation=1,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        min_share=_MIN_SHARE,
        max_out_of_day=0,
        interruption=Interruption(),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Import the file that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m bench.workloads.import_once", description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--profile", type=MemoryProfile, default=MemoryProfile.AUTO, help="auto, fast or bounded"
    )
    parser.add_argument("--memory-limit-mb", type=int)
    options = parser.parse_args()
    settings = Settings(LakePaths.under(options.data_dir), options.profile, options.memory_limit_mb)
    row = import_staged(options.file, options.sha256, settings)
    print(json.dumps({"snapshots": row.snapshots, "strike_rows": row.strike_rows}))


if __name__ == "__main__":
    main()
