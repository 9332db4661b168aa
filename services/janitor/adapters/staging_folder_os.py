"""The staging folder on disk, for the duty that prunes staged files."""

from __future__ import annotations

from pathlib import Path

import structlog

from services.janitor.duties.prune_staged_files import PrunableFile
from shared.paths import LakePaths
from shared.process.durable_files import sync_folder

log = structlog.get_logger(__name__)


class StagingFolderOnDisk:
    """Lists and removes staged files, and nothing else in the folder."""

    def __init__(self, paths: LakePaths) -> None:
        self._paths = paths

    def files(self) -> list[PrunableFile]:
        """Return the complete staged files.

        Raises:
            OSError: the folder cannot be read.
        """
        paths = (path for folder in self._paths.staging_folders for path in folder.glob("*/*/*"))
        return [file for path in paths if (file := self._staged(path)) is not None]

    def remove(self, file: PrunableFile) -> bool:
        """Remove a file unless it has changed or no longer exists; return whether it was removed."""
        path = self._paths.staged_from_relative(file.path)
        try:
            if self._staged(path) != file:
                return False
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            log.warning("staged_file_not_removed", path=file.path, error=error.strerror or str(error))
            return False
        log.info("staged_file_removed", path=file.path, bytes=file.size_bytes)
        return True

    def _staged(self, path: Path) -> PrunableFile | None:
        """Return the staged file at a path; None for hidden names, links, folders and other layouts."""
        relative = self._paths.relative_to_staging(path)
        try:
            if path.name.startswith(".") or self._paths.staged_from_relative(relative) != path:
                return None
            if path.is_symlink() or not path.is_file():
                return None
            status = path.stat()
        except (ValueError, FileNotFoundError):
            return None
        return PrunableFile(relative, status.st_mtime_ns, status.st_size)
