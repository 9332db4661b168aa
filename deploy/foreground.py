"""Run the processes of the Procfile in this terminal: honcho, with its own arguments.

``python -m deploy.foreground start`` is ``honcho start`` with status 0 after Ctrl-C, the usual way to end it.
A shell's ``|| true`` would not do: the shell would not pass a SIGTERM on to honcho.
"""

from __future__ import annotations

import signal
from typing import Final

from honcho.command import main as honcho

_INTERRUPTED: Final = 128 + signal.SIGINT


def main() -> None:
    """Run until a process ends or a signal arrives; exit with honcho's status, or 0 after Ctrl-C."""
    try:
        honcho()
    except SystemExit as ended:
        if ended.code != _INTERRUPTED:
            raise


if __name__ == "__main__":
    main()
