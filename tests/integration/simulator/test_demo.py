"""``make demo`` on a short day, as a user's terminal would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.poll import eventually
from tests.support.repository import ROOT

PARQUET = "data/parquet/gexbot/NQ_NDX/gex_zero/20251114.strikes.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for the demo's temporary folder."""
    (tmp_path / "demo").mkdir()
    return tmp_path / "demo"


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator.demo", "--snapshots", "200", "--strikes", "30", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def run(folder: Path, *options: str) -> tuple[int, str, str]:
    process = start(folder, *options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def processes_in(folder: Path) -> list[str]:
    """Return the processes whose working folder is in a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink().is_relative_to(folder):
                found.append(link.parent.joinpath("cmdline").read_text())
    return found


def test_it_shows_the_imported_day_and_removes_its_folder(folder: Path) -> None:
    status, out, err = run(folder)
    assert (status, err) == (0, "")
    for words in (
        "200 snapshots, 6,000 strike rows",
        "Parquet  6,000 strike rows, ",
        PARQUET,
        "import",
        "gamma",
    ):
        assert words in out
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_keep_keeps_its_folder(folder: Path) -> None:
    assert run(folder, "--keep")[0] == 0
    (kept,) = folder.iterdir()
    assert (kept / PARQUET).is_file()


@pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="looks for processes by their folder in /proc"
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_all_processes_and_removes_the_folder(
    folder: Path, number: signal.Signals
) -> None:
    process = start(folder)
    try:
        await eventually(lambda: processes_in(folder), within_s=60)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -number
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []
    assert processes_in(folder) == []


@pytest.mark.parametrize("options", [("--snapshots", "0"), ("--strikes", "many")])
def test_an_impossible_day_is_a_usage_error(folder: Path, options: tuple[str, str]) -> None:
    assert run(folder, *options)[0] == 2
    assert list(folder.iterdir()) == []
