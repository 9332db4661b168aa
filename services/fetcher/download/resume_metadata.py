"""The metadata beside a partial file: the entity tag to resume with, and the number of durable bytes.

It contains no URL; the name of the partial file names the job.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.process.durable_files import sync_folder


class ResumeMetadata(BaseModel):
    """What a later attempt needs to resume a partial file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    etag: str = Field(min_length=2, max_length=202)
    """The strong entity tag of the file, in its quotes."""
    total_bytes: int | None = Field(None, ge=1)
    """The size of the whole file; None if the source did not announce it."""
    durable_bytes: int = Field(ge=1)
    """The number of bytes on disk when this was written."""


def read(path: Path) -> ResumeMetadata | None:
    """Return the metadata; None if it is missing or malformed.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return ResumeMetadata.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write(path: Path, metadata: ResumeMetadata) -> None:
    """Replace the metadata, atomically and durably.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(f"{path.name}~")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(metadata.model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove the metadata and its temporary file."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}~").unlink(missing_ok=True)
