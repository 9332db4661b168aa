"""CPU time and peak memory of a running process, from ``/proc``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_KIB: Final = 1024
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_bytes(pid: int) -> int:
    """Return the peak resident set of a process.

    Raises:
        FileNotFoundError: there is no such process.
        ValueError: the process has ended and was not waited for yet.
    """
    match = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    if match is None:
        raise ValueError(f"process {pid} has ended: its status has no VmHWM")
    return int(match[1]) * _KIB


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, of a process.

    Raises:
        FileNotFoundError: there is no such process.
    """
    # The program's name is in brackets and may itself contain blanks and brackets.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
