"""The note beside a partial file: by what its rest can be asked for, and how much of it is surely on disk.

It names no URL, and no query: whose file it is stands in the name of the partial.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.process.durable_files import sync_folder


class ResumeNote(BaseModel):
    """What a later attempt has to know to go on with a partial file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    etag: str = Field(min_length=2, max_length=202)
    """The strong entity tag of the file, in its quotes."""
    total_bytes: int | None = Field(None, ge=1)
    """Of the whole file; None when the source did not say."""
    durable_bytes: int = Field(ge=1)
    """So many of its bytes were on disk when the note was written."""


def read(path: Path) -> ResumeNote | None:
    """Return a note; None if it is missing or was not written whole.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return ResumeNote.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write(path: Path, note: ResumeNote) -> None:
    """Replace a note, atomically and durably.

    Raises:
        OSError: the disk does not take it.
    """
    new = path.with_name(f"{path.name}~")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(note.model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a note, and one that was not written to its end."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}~").unlink(missing_ok=True)
