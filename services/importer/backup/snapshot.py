"""Take a snapshot of the lake between two imports: the database copied, Parquet and records linked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import structlog

from gexlake.api.services import LakeCounts, SnapshotResponse
from services.importer.errors import trouble
from services.importer.formats import FORMATS
from services.importer.lake.database import Lake
from services.importer.lake.quarantine import log_of
from shared.process.durable_files import make_folder

_COPY: Final = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"
_VERIFY: Final[dict[str, str | bool | int | float | list[str]]] = {"memory_limit": "64MiB", "threads": 1}
_COUNTS: Final = f"""
    SELECT count(*), coalesce(sum(snapshots), 0), coalesce(sum(strike_rows), 0),
        (SELECT count(*) FROM gex_history_queue),
        {" + ".join(f"(SELECT count(*) FROM {form.table})" for form in FORMATS)}
    FROM partitions
"""  # noqa: S608 (names of ours)

log = structlog.get_logger(__name__)


def take_snapshot(lake: Lake) -> SnapshotResponse:
    """Write a snapshot below the data folder and return where it is; the caller moves it away.

    Snapshots of callers that ended are removed first.

    Raises:
        StorageTrouble: the disk is full or fails, or the copy does not hold what the database holds.
    """
    root = lake.paths.backups
    try:
        shutil.rmtree(root, ignore_errors=True)
        folder = root / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        make_folder(folder)
        copy = folder / lake.paths.database.name
        with lake.writing() as connection, lake.without_live_writes():
            connection.execute("CHECKPOINT")
            expected = _counts(connection)
            for source in (lake.paths.database, log_of(lake.paths.database)):
                if source.exists():
                    _copy(source, folder / source.name)
            for tree in (lake.paths.parquet_root, lake.paths.webhooks_root, lake.paths.bars_root):
                _link(tree, folder / "parquet" / tree.name)
            _link(lake.paths.records_root, folder / "records" / lake.paths.records_root.name)
            _link(lake.paths.chains_root, folder / lake.paths.chains_root.name)
            _link(lake.paths.archived_jobs_root, folder / "archive" / lake.paths.archived_jobs_root.name)
        with duckdb.connect(str(copy), read_only=True, config=_VERIFY) as connection:
            found = _counts(connection)
        log_of(copy).unlink(missing_ok=True)
        if found != expected:
            raise OSError(f"the copy of the database has {found}, the database has {expected}")  # noqa: TRY301
    except (OSError, duckdb.Error, subprocess.CalledProcessError) as error:
        shutil.rmtree(root, ignore_errors=True)
        raise trouble("copying the database", error) from error
    log.info("snapshot_taken", folder=str(folder), **found.model_dump())
    return SnapshotResponse(folder=folder.relative_to(lake.paths.data_dir).as_posix(), counts=found)


def _counts(connection: duckdb.DuckDBPyConnection) -> LakeCounts:
    row = connection.execute(_COUNTS).fetchone() or ()
    names = ("partitions", "snapshots", "strike_rows", "jobs", "records")
    return LakeCounts(**dict(zip(names, row, strict=True)))


def _copy(source: Path, target: Path) -> None:
    """Copy a file that DuckDB has open, in another process.

    POSIX drops a process's lock on a file when it closes any descriptor of it.
    """
    subprocess.run(
        [sys.executable, "-I", "-c", _COPY, str(source), str(target)], check=True, capture_output=True
    )


def _link(source: Path, target: Path) -> None:
    """Link the files of a tree, or copy them if the other folder is on another file system.

    A file of the tree is replaced by renaming another over it, and never written to, so a link keeps the
    content of this moment.
    """
    for path in source.rglob("*.parquet"):
        if path.name.startswith("."):
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
