"""End and suspend processes that lead process groups, with their children."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


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


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
