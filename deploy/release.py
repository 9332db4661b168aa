"""Check a release's tag against the version and print its section of the changelog.

``python -m deploy.release v0.2.0`` prints the body of the release, or exits with status 1 and one line.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from gexlake import __version__

ROOT: Final = Path(__file__).parents[1]
USAGE: Final = "usage: python -m deploy.release vX.Y.Z"


class NotReleasable(Exception):
    """The tag, the version and the changelog do not agree."""


def check_tag(tag: str, version: str) -> None:
    """Check that a tag names a version.

    Raises:
        NotReleasable: the tag is not ``v`` and the version.
    """
    if tag != f"v{version}":
        raise NotReleasable(f"expected the tag v{version} for gexlake.__version__, got {tag}")


def changelog_section(changelog: str, version: str) -> str:
    """Return the text under a version's heading, without the heading.

    Args:
        changelog: Markdown in the form of Keep a Changelog.
        version: as in ``## [0.2.0] - 2026-12-01``.

    Raises:
        NotReleasable: there is no such heading, or nothing under it.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |^\[[^\]]+\]: |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise NotReleasable(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD': rename [Unreleased]")
    section = found[1].strip()
    if not section:
        raise NotReleasable(f"CHANGELOG.md has nothing under the heading of {version}")
    return section + "\n"


def main(arguments: list[str]) -> int:
    """Print the changelog's section for the tag in ``arguments``; return the exit status."""
    if len(arguments) != 1:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        check_tag(arguments[0], __version__)
        section = changelog_section((ROOT / "CHANGELOG.md").read_text(), __version__)
    except NotReleasable as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(section, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
