"""The staged file of a command: opened once, and checked to be the one that the fetcher staged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from services.importer.errors import StagedFileMissing, StagedFileReplaced
from services.importer.lake.parquet import sha256_of
from services.importer.reader.source import OpenFile
from shared.bus.messages import ImportFile
from shared.paths import LakePaths


@contextmanager
def staged_file(paths: LakePaths, command: ImportFile) -> Iterator[OpenFile]:
    """Hold the staged file of a command open.

    Raises:
        StagedFileMissing: it is not at the path in the command.
        StagedFileReplaced: it has another checksum.
    """
    place = _place(paths, command)
    with _opened(place) as file:
        opened = OpenFile(place.name, Path(f"/proc/self/fd/{file.fileno()}"))
        found = opened.path.stat()
        unchanged = found.st_size == command.size_bytes and found.st_mtime_ns == command.modified_ns
        if not unchanged and sha256_of(opened.path) != command.sha256:
            raise StagedFileReplaced(place)
        yield opened


def _place(paths: LakePaths, command: ImportFile) -> Path:
    try:
        return paths.staged_from_relative(command.staged_path)
    except ValueError as error:
        raise StagedFileMissing(
            Path(command.staged_path), f"is not in the staging folder ({error})"
        ) from error


def _opened(path: Path) -> BinaryIO:
    with suppress(FileNotFoundError):  # removed in the meantime
        if path.is_file():
            return path.open("rb")
    raise StagedFileMissing(path, "is gone")
