"""Run a demo in a temporary folder, which is removed at its end however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from gexlake.cli.errors import CommandFailed
from gexlake.cli.output.tables import console
from simulator.stack import StackError


class DemoFailed(Exception):
    """The lake does not hold what was generated."""


class Interrupted(BaseException):
    """A signal asked the demo to end.

    Not KeyboardInterrupt: Python notes one that is raised where it runs source text, such as that of a
    dataclass, and then ends the process by SIGINT at its exit, although it was handled.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_in_folder(run: Callable[[Path, Console], None], *, keep: bool) -> None:
    """Run a demo and clean up; a failure is printed as one line, and the exit status is 1.

    Args:
        run: gets the folder and the terminal.
        keep: whether the folder is kept.
    """
    for number in (signal.SIGTERM, signal.SIGINT):  # background jobs of a shell ignore SIGINT
        signal.signal(number, _interrupt)
    try:
        _run_and_clean_up(run, keep=keep)
    except Interrupted as error:
        # The shell, or make, is to see which signal ended the demo.
        signal.signal(error.number, signal.SIG_DFL)
        os.kill(os.getpid(), error.number)


def _run_and_clean_up(run: Callable[[Path, Console], None], *, keep: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gexlake-demo-"))
    try:
        run(folder, console(sys.stdout))
    except (DemoFailed, StackError, CommandFailed, OSError) as error:
        sys.exit(f"demo: {str(error).splitlines()[0]}")
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)
