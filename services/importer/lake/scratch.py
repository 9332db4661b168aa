"""Scratch folders for imports; one that a killed importer leaves is removed at the next start.

DuckDB spills into the folder around them, and removes the files of a process that died when it next spills.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

from shared.process.durable_files import make_folder

_PREFIX: Final = "import-"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Make a folder in ``root`` for as long as the context lasts, and ``root`` too if it is missing.

    Raises:
        OSError: it cannot be made.
    """
    make_folder(root)
    folder = Path(mkdtemp(prefix=_PREFIX, dir=root))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def remove_scratch_folders(root: Path) -> int:
    """Remove the folders of processes that died; return how many."""
    left = list(root.glob(f"{_PREFIX}*"))
    for folder in left:
        rmtree(folder, ignore_errors=True)
    return len(left)
