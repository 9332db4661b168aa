"""Named points at which the fault tests stop a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.process.failpoints import failpoint
from tests.support.poll import eventually
from tests.support.repository import ROOT

PROGRAM = """
from shared.process.failpoints import failpoint
failpoint("tester.before")
print("between", flush=True)
failpoint("tester.here")
print("after", flush=True)
"""


def started(wanted: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "GEXLAKE_FAILPOINT": wanted},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_process_is_killed_at_the_point_and_nowhere_else() -> None:
    with started("tester.here") as process:
        written, _ = process.communicate(timeout=20)
    assert (written, process.returncode) == ("between\n", -signal.SIGKILL)


def test_another_point_does_nothing() -> None:
    with started("tester.elsewhere") as process:
        written, _ = process.communicate(timeout=20)
    assert (written, process.returncode) == ("between\nafter\n", 0)


async def test_a_hold_waits_until_its_file_is_removed(tmp_path: Path) -> None:
    marker = tmp_path / "held"
    with started(f"tester.here=hold:{marker}") as process:
        await eventually(marker.exists)
        assert process.poll() is None
        marker.unlink()
        written, _ = process.communicate(timeout=20)
    assert (written, process.returncode) == ("between\nafter\n", 0)


@pytest.mark.parametrize("wanted", [None, ""])
def test_unset_it_does_nothing(monkeypatch: pytest.MonkeyPatch, wanted: str | None) -> None:
    if wanted is None:
        monkeypatch.delenv("GEXLAKE_FAILPOINT", raising=False)
    else:
        monkeypatch.setenv("GEXLAKE_FAILPOINT", wanted)
    failpoint("tester.here")  # were it to act, the test run would end here
