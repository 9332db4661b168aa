"""``make demo-chronox``, as a user's terminal would run it: it compares every minute itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT


@pytest.mark.slow
def test_it_shows_bars_gaps_and_corrections_and_removes_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator.demo.chronox", "--days", "2", "--pause", "0.01"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Every minute equals the stand-in's" in ended.stdout
    for symbol in ("AAPL", "MSFT", "NVDA"):
        assert f"{symbol}: completed" in ended.stdout
    assert "gaps found" in ended.stdout
    assert list(tmp_path.iterdir()) == []
