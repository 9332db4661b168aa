"""One import as a process of its own: open a lake, import one staged file, close it.

``python -m bench.import_once STAGED_FILE SHA256`` imports a file that lies in the staging folder of the lake;
settings come from the environment, as the importer's do. Prints what the partition holds as JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from services.importer.lake_duckdb import Lake
from services.importer.partitions_duckdb import PartitionRow
from services.importer.replacement_duckdb import replace_partition
from services.importer.settings import ImporterSettings
from services.importer.statements_duckdb import Interruption
from shared.messages import ImportFile, Job, job_id_of
from shared.paths import LakePaths
from shared.source_name import parse_source_name


def import_staged(path: Path, sha256: str, settings: ImporterSettings) -> PartitionRow:
    """Import a staged file into the lake of ``settings``, creating the lake if there is none.

    Raises:
        GexlakeError: as ``replace_partition`` and ``Lake.open``.
    """
    command = _command(settings.paths, path, sha256)
    lake = Lake.open(settings)
    try:
        return replace_partition(
            lake,
            command,
            path,
            clock=_now,
            rules=settings.rules,
            interruption=Interruption(),
        )
    finally:
        lake.close()


def _command(paths: LakePaths, path: Path, sha256: str) -> ImportFile:
    ticker, endpoint, _ = paths.relative_to_staging(path).split("/")
    url = f"https://hist.gex.bot/{path.name}"
    job = Job(
        job_id=job_id_of(ticker, endpoint, url),
        generation=1,
        ticker=ticker,
        endpoint=endpoint,
        trading_day=parse_source_name(path.name).trading_day,
        base_url=url,
        requested_at=_now(),
    )
    found = path.stat()
    return ImportFile(
        job=job,
        staged_path=paths.relative_to_staging(path),
        size_bytes=found.st_size,
        sha256=sha256,
        modified_ns=found.st_mtime_ns,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Import the file that the arguments name."""
    path, sha256 = sys.argv[1:]
    row = import_staged(Path(path), sha256, ImporterSettings())
    print(json.dumps({"snapshots": row.snapshots, "strike_rows": row.strike_rows}))


if __name__ == "__main__":
    main()
