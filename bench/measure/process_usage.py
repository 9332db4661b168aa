"""What a process that still runs has used so far, from ``/proc``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_KIB: Final = 1024
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_bytes(pid: int) -> int:
    """Return the largest resident set that a process has had.

    Raises:
        FileNotFoundError: there is no such process.
        ValueError: it has ended, and nobody has waited for it yet.
    """
    match = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    if match is None:
        raise ValueError(f"process {pid} has no memory any more")
    return int(match[1]) * _KIB


def cpu_s(pid: int) -> float:
    """Return the processor seconds, user and system, that a process has used.

    Raises:
        FileNotFoundError: there is no such process.
    """
    # The name of the program stands in brackets, and may hold blanks and brackets of its own.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
