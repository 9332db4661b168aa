"""Damaged files: recognize them, and move them to ``quarantine/<time>/``, where nothing deletes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import structlog

from shared.errors import CannotStart
from shared.paths import LakePaths
from shared.process.durable_files import make_folder, sync_folder

_DAMAGE: Final = (
    "corrupt database file",
    "corrupt wal file",
    "failure while replaying wal",
    "not a valid duckdb database file",
    "could not read enough bytes",
    "failed to deserialize",
    "serialization error",
    "failed to load metadata pointer",
)
_OTHERS: Final = ("out of memory", "no space left", "permission denied", "input/output error", ".parquet")
"""In texts of errors that the machine causes, or another file."""
_IN_LOG: Final = ("wal file", "replaying wal")

WHAT_NEXT: Final = (
    "The importer rebuilds the database from data/parquet and data/records. Nothing has to be done. When "
    "gexlake status shows no partitions to rebuild, this folder can be kept elsewhere or deleted."
)

log = structlog.get_logger(__name__)


def is_damage(error: BaseException) -> bool:
    """Return whether DuckDB reports that the content of its file or its log is damaged."""
    text = str(error).lower()
    if not isinstance(error, duckdb.Error) or any(cause in text for cause in _OTHERS):
        return False
    return any(sign in text for sign in _DAMAGE)


def is_in_log(error: BaseException) -> bool:
    """Return whether the damage is in the write-ahead log."""
    text = str(error).lower()
    return any(sign in text for sign in _IN_LOG)


def log_of(database: Path) -> Path:
    """Return the write-ahead log of a DuckDB file."""
    return database.with_name(f"{database.name}.wal")


def quarantine(paths: LakePaths, files: Sequence[Path], problem: str, what_next: str = WHAT_NEXT) -> Path:
    """Move files into a new folder of the quarantine, with a note, and return the folder.

    Args:
        paths: where the quarantine is.
        files: those to move; one that is missing is left out.
        problem: what is wrong with them.
        what_next: what follows, or has to be done.

    Raises:
        OSError: they cannot be moved.
    """
    folder = _new_folder(paths.quarantine)
    moved = [file for file in files if file.exists()]
    for file in moved:
        file.rename(folder / file.name)
        sync_folder(file.parent)
    names = ", ".join(file.name for file in moved)
    (folder / "README.txt").write_text(f"{names}: {problem}\n\n{what_next}\n")
    sync_folder(folder)
    log.error("files_quarantined", folder=str(folder), files=names, problem=problem, next=what_next)
    return folder


def quarantine_database(paths: LakePaths, problem: str, *, log_only: bool = False) -> None:
    """Move the database and its log, or the log alone.

    Raises:
        CannotStart: they cannot be moved.
    """
    log_file = log_of(paths.database)
    try:
        quarantine(paths, [log_file] if log_only else [paths.database, log_file], problem)
    except OSError as error:
        raise CannotStart(
            f"{paths.database} is damaged ({problem}) and cannot be moved to {paths.quarantine}: {error}"
        ) from error


def _new_folder(root: Path) -> Path:
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = root / name
    make_folder(folder)
    return folder
