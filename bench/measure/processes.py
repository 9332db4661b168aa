"""Run a command as a process and measure it: seconds, CPU time, peak memory.

The kernel counts a process's peak memory from the fork on, so the measuring process must stay smaller than
the measured one: the runner opens no lake and reads no file whole.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from bench.measure.figures import Run
from simulator.process_groups import end
from simulator.stack import is_setting

_ROOT: Final = Path(__file__).parents[2]
_KIB: Final = 1024
_SHOWN_CHARS: Final = 2000


class BenchFailed(Exception):
    """A measurement is not possible, or the measured program failed."""


@dataclass(frozen=True)
class Finished:
    """A process that exited with 0: its figures and its output."""

    run: Run
    printed: str


def measure(
    module: str, words: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Finished:
    """Run ``python -m module words`` in ``folder`` to its end.

    Args:
        module: the program.
        words: its arguments.
        folder: its working directory: no ``.env`` of the caller is read.
        env: settings; those of the caller are not passed on.

    Raises:
        BenchFailed: it did not exit with 0; the message ends with its output.
    """
    return measure_command([sys.executable, "-m", module, *words], folder, env, name=module)


def measure_command(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, *, name: str
) -> Finished:
    """Run a command in ``folder`` to its end; all that it starts and waits for is counted.

    Pending writes are flushed to disk first, so that one run does not slow down the next.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        env: settings; those of the caller are not passed on.
        name: the name in error messages.

    Raises:
        BenchFailed: it did not exit with 0; the message ends with its output.
    """
    os.sync()
    with TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        usage = _wait(process)
        seconds = time.perf_counter() - began
        out.seek(0)
        printed = out.read().decode(errors="replace")
    if process.returncode:
        raise BenchFailed(f"{name} exited with {process.returncode}: {printed[-_SHOWN_CHARS:].strip()}")
    return Finished(Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _KIB), printed)


def _wait(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        end([process], grace_s=0, number=signal.SIGKILL)
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**outside, "PYTHONPATH": str(_ROOT), **settings}
