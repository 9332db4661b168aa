"""Run the processes of the Procfile in this terminal: honcho, with its own arguments.

``python -m deploy.foreground start`` is ``honcho start``, but Ctrl-C is how it is meant to end: status 0. It
is no shell's ``||`` that says so, because a shell in between would keep a SIGTERM from honcho.
"""

from __future__ import annotations

import signal
from typing import Final

from honcho.command import main as honcho

_INTERRUPTED: Final = 128 + signal.SIGINT


def main() -> None:
    """Run until a process ends or a signal comes; every status but an interrupt's is kept."""
    try:
        honcho()
    except SystemExit as ended:
        if ended.code != _INTERRUPTED:
            raise


if __name__ == "__main__":
    main()
