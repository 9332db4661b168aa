"""The staging folder on disk, as the pruning duty sees it."""

from __future__ import annotations

from pathlib import Path

import structlog

from services.janitor.duties.prune_staged_files import StagedFile
from shared.paths import LakePaths
from shared.process.durable_files import sync_folder

log = structlog.get_logger(__name__)


class StagingFolderOnDisk:
    """Lists and removes staged files; everything else in the folder is left alone."""

    def __init__(self, paths: LakePaths) -> None:
        self._paths = paths

    def files(self) -> list[StagedFile]:
        """Return the complete staged files.

        Raises:
            OSError: the folder cannot be read.
        """
        found = (self._staged(path) for path in self._paths.staging_root.glob("*/*/*"))
        return [file for file in found if file is not None]

    def remove(self, file: StagedFile) -> bool:
        """Remove a file, unless it is gone or has been staged anew; tell whether it was removed."""
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

    def _staged(self, path: Path) -> StagedFile | None:
        """Return what is known of a staged file; None for hidden names, links, folders and strangers."""
        relative = self._paths.relative_to_staging(path)
        try:
            if path.name.startswith(".") or self._paths.staged_from_relative(relative) != path:
                return None
            if path.is_symlink() or not path.is_file():
                return None
            status = path.stat()
        except (ValueError, FileNotFoundError):
            return None
        return StagedFile(relative, status.st_mtime_ns, status.st_size)
