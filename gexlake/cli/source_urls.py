"""The URL of what a person submits: as given, or the ``file://`` URL of a file's path."""

from __future__ import annotations

import os
from pathlib import Path

from gexlake.cli.errors import NoSuchFile


def url_of(text: str) -> str:
    """Return the URL that ``text`` is, or that of the file whose path it is.

    Symbolic links stay as they are written: intake allows folders by their names.

    Raises:
        NoSuchFile: it is neither a URL nor the path of a file.
    """
    if "://" in text:
        return text
    path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 (resolve would follow links)
    if not path.is_file():
        raise NoSuchFile(text, "is a folder" if path.is_dir() else "is not a URL, and no file here")
    return path.as_uri()
