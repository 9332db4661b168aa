"""The console script ``gexlake``: an error of ours is one line on standard error and exit status 1."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from gexlake.backup.errors import BackupError
from gexlake.cli.commands import app
from gexlake.cli.errors import CommandFailed
from gexlake.environment import UnusableSetting


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; without ``arguments``, the one that the program was called with."""
    try:
        app(arguments, prog_name="gexlake")
    except (BackupError, CommandFailed, UnusableSetting) as error:
        _fail(str(error))
    except OSError as error:  # those of connections and files are translated where they occur
        _fail(f"the output cannot be written: {error.strerror or error}")


def _fail(line: str) -> NoReturn:
    print(f"gexlake: {line}", file=sys.stderr)  # noqa: T201 (the line the user sees)
    sys.exit(1)


if __name__ == "__main__":
    main()
