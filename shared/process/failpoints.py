"""Named points between durable steps at which fault tests stop a real process.

``GEXLAKE_FAILPOINT=<name>`` kills the process there, as ``kill -9`` would. ``<name>=hold:<file>`` creates the
file and waits, once, until a test removes it. Unset, a failpoint costs one look-up in the environment.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_VARIABLE = "GEXLAKE_FAILPOINT"
_POLL_S = 0.02


def failpoint(name: str) -> None:
    """Kill or hold the process here if ``GEXLAKE_FAILPOINT`` names this point."""
    wanted, _, action = os.environ.get(_VARIABLE, "").partition("=")
    if wanted != name:
        return
    if action.startswith("hold:"):
        del os.environ[_VARIABLE]
        _hold(Path(action.removeprefix("hold:")))
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _hold(marker: Path) -> None:
    marker.touch()
    while marker.exists():
        time.sleep(_POLL_S)
