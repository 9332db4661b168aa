"""``python -m gexlake.backup backup DIR`` and ``… restore DIR``: for images that have no command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from gexlake.backup.create import create
from gexlake.backup.errors import BackupError
from gexlake.backup.restore import restore
from gexlake.backup.settings import BackupSettings
from gexlake.environment import UnusableSetting, load


def main(arguments: Sequence[str] | None = None) -> None:
    """Back up or restore; exit 1 with one line when that fails."""
    parser = argparse.ArgumentParser(prog="gexlake", description="Back up and restore the system.")
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("backup", help="back up the running system")
    saving.add_argument("dir", type=Path)
    saving.add_argument("--no-staged", action="store_true", help="leave the staged files out")
    restoring = commands.add_parser("restore", help="restore a backup; the services are stopped")
    restoring.add_argument("dir", type=Path)
    restoring.add_argument("--replace", action="store_true", help="replace what the system holds")
    given = parser.parse_args(arguments)
    try:
        settings = load(BackupSettings)
        if given.command == "backup":
            work = create(settings, given.dir, with_staged=not given.no_staged, report=_print)
        else:
            work = restore(settings, given.dir, replace=given.replace, report=_print)
        asyncio.run(work)
    except (BackupError, UnusableSetting) as error:
        print(f"gexlake: {error}", file=sys.stderr)  # noqa: T201 (the line that the operator sees)
        sys.exit(1)
    _print(f"done: {given.dir}")


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (progress, for the operator)


if __name__ == "__main__":
    main()
