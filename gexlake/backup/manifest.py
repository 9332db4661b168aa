"""What a backup holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError

from gexlake.api.services import LakeCounts
from gexlake.backup.errors import BackupError

NAME: Final = "manifest.json"
FORMAT: Final = 1
"""Grows when an older gexlake could not restore the folder."""


def inside(path: str) -> str:
    """Check that a path stays in the backup: a restore may run as root and writes where it leads."""
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError(f"expected a path inside the backup, got {path!r}")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BackedUpFile(_Part):
    """A file, by its path in the backup."""

    path: Annotated[str, AfterValidator(inside)]
    size_bytes: int
    sha256: str


class BackedUpStream(_Part):
    """A stream or key-value bucket, with what its snapshot is restored by."""

    name: str
    path: Annotated[str, AfterValidator(inside)]
    messages: int
    config: dict[str, Any]
    state: dict[str, Any]


class Manifest(_Part):
    """The list of all that a backup holds; written last, so a folder without it is no backup."""

    format: int = FORMAT
    gexlake: str
    created_at: AwareDatetime
    database: LakeCounts
    streams: tuple[BackedUpStream, ...]
    files: tuple[BackedUpFile, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a backup.

        Raises:
            BackupError: there is none, or a newer gexlake wrote it.
        """
        path = folder / NAME
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise BackupError(f"{folder} is no complete backup: it has no {NAME}") from error
        except (OSError, ValidationError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error
        if manifest.format > FORMAT:
            raise BackupError(f"{folder} was made by gexlake {manifest.gexlake}: upgrade this one first")
        return manifest
