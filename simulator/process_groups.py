"""End and suspend processes that lead process groups, with their children."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def end(
    processes: Sequence[subprocess.Popen[bytes]], grace_s: float, number: signal.Signals = signal.SIGTERM
) -> None:
    """End processes together with signal ``number``, and with SIGKILL after ``grace_s``.

    If the wait is interrupted, they are killed at once.
    """
    deadline = time.monotonic() + grace_s
    try:
        for process in processes:
            _signal_group(process, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            _signal_group(process, signal.SIGKILL)
        for process in processes:
            process.wait()


@contextmanager
def suspended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Suspend a process with its children, as ``kill -STOP`` does, and wake it at the end."""
    _signal_group(process, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal_group(process, signal.SIGCONT)


def members(leader: int) -> list[int]:
    """Return the processes of the group that ``leader`` leads or led; none where there is no ``/proc``."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if _group_of(pid) == leader]


def _group_of(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
