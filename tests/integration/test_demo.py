"""``make demo`` on a short day, as a user's terminal would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PARQUET = "data/parquet/gexbot/NQ_NDX/gex_zero/20251114.strikes.parquet"


def demo(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command: list[Any] = [
        sys.executable,
        "-m",
        "bench.demo",
        "--snapshots",
        "200",
        "--strikes",
        "30",
        *options,
    ]
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), **env},
    )


def test_it_shows_what_landed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = demo(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    for words in (
        "200 snapshots, 6,000 strike rows",
        "Parquet  6,000 strike rows, ",
        PARQUET,
        "import",
        "gamma",
    ):
        assert words in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_its_folder_may_be_kept(tmp_path: Path) -> None:
    assert demo(tmp_path, "--keep").returncode == 0
    (folder,) = tmp_path.iterdir()
    assert (folder / PARQUET).is_file()


@pytest.mark.parametrize("options", [("--snapshots", "0"), ("--strikes", "many")])
def test_a_day_that_cannot_be_is_a_wrong_usage(tmp_path: Path, options: tuple[str, str]) -> None:
    assert demo(tmp_path, *options).returncode == 2
    assert list(tmp_path.iterdir()) == []
