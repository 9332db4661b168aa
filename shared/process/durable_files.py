"""Durable files: their content and their directory entries are flushed to disk."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Flush a file's content to disk."""
    _fsync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, each with its entry flushed to disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync_folder(folder.parent)


def rename_durably(temporary: Path, final: Path) -> None:
    """Rename an already flushed file into place, atomically, and flush the folder."""
    temporary.rename(final)
    sync_folder(final.parent)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
