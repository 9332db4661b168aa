"""The benchmark's processes: how they are measured, and that they do the work that is timed."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from bench.inputs import moved
from bench.measure import process_usage
from bench.measure.figures import MIB
from bench.measure.processes import BenchFailed, measure
from bench.sections import imports, queries
from bench.workbench import SEED_DATABASE, SEED_PARQUET, Workbench
from bench.workloads.import_once import Settings, import_staged
from shared.paths import LakePaths
from simulator.generator import Day
from tests.support.repository import ROOT

SNAPSHOTS = 150
STRIKES = 100


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Workbench(tmp_path / "inputs", scratch, 1, SNAPSHOTS, 3, lambda _: None)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that ``measure`` can run; its text is the test's."""
    (tmp_path / "programs").mkdir()
    monkeypatch.setattr("bench.measure.processes._ROOT", tmp_path / "programs")
    return tmp_path / "programs" / "program.py"


def test_time_and_memory_of_a_process_are_measured(program: Path, tmp_path: Path) -> None:
    program.write_text(
        "import sys, time\n"
        "held = bytearray(200 << 20)\n"
        "until = time.process_time() + 0.2\n"
        "while time.process_time() < until: pass\n"
        "print(*sys.argv[1:])\n"
    )
    finished = measure("program", ["two", "words"], tmp_path)
    assert finished.printed == "two words\n"
    assert finished.run.peak_bytes >= 200 * MIB
    assert finished.run.seconds >= 0.2
    assert finished.run.cpu_s >= 0.2


def test_the_reason_of_a_failed_process_is_raised(program: Path, tmp_path: Path) -> None:
    program.write_text("import sys\nprint('something')\nsys.exit('and why')\n")
    with pytest.raises(BenchFailed, match=r"program exited with 1: (something\nand why|and why\nsomething)"):
        measure("program", [], tmp_path)


def test_settings_of_the_caller_do_not_reach_a_measured_process(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEXLAKE_MEMORY_LIMIT_MB", "128")
    program.write_text(
        "import os\nprint(sorted(name for name in os.environ if name.startswith('GEXLAKE_')), os.getcwd())\n"
    )
    printed = measure("program", [], tmp_path, {"GEXLAKE_MEMORY_PROFILE": "auto"}).printed
    assert printed == f"['GEXLAKE_MEMORY_PROFILE'] {tmp_path}\n"


def test_a_measured_process_ends_with_its_measurement(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text("import time\ntime.sleep(600)\n")
    started: list[int] = []

    def interrupted(pid: int, _: int) -> None:
        started.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.measure.processes.os.wait4", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure("program", [], tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_this_process_has_used_memory_and_processor_time() -> None:
    assert process_usage.peak_bytes(os.getpid()) > 10 * MIB
    assert process_usage.cpu_s(os.getpid()) > 0


def test_the_seed_sql_and_ours_hold_the_same_rows(bench: Workbench) -> None:
    source = bench.input()
    lake, seed = bench.scratch / "lake", bench.scratch / "seed"
    seed.mkdir()
    bench.import_into(lake, source)
    bench.import_by_seed(seed, source)
    columns = "timestamp, ticker, strike, gamma, oi_gamma"
    rows = []
    for database in (seed / SEED_DATABASE, LakePaths.under(lake).database):
        with duckdb.connect(str(database), read_only=True) as connection:
            rows.append(connection.execute(f"SELECT {columns} FROM gex_strikes ORDER BY ALL").fetchall())
    assert rows[0] == rows[1]
    assert len(rows[0]) == SNAPSHOTS * STRIKES
    parquet = duckdb.execute(f"SELECT {columns} FROM '{seed / SEED_PARQUET}' ORDER BY ALL").fetchall()
    assert parquet == rows[0]


def test_an_import_with_wrong_counts_fails(bench: Workbench, tmp_path: Path) -> None:
    source = bench.input()
    text = source.path.read_bytes()
    source.path.unlink()
    source.path.write_bytes(text[: text.rfind(b',{"timestamp"')] + b"]")
    with pytest.raises(BenchFailed, match=r"holds .* were imported"):
        bench.import_by_seed(tmp_path, source)
    with pytest.raises(BenchFailed, match=r"holds .* were imported"):
        bench.import_into(tmp_path / "lake", source)


@pytest.mark.slow
def test_a_filled_lake_has_all_days_and_days_in_it_can_be_replaced(bench: Workbench) -> None:
    source, lake = bench.input(), bench.scratch / "lake"
    copies = [date(2025, 10, 31), date(2025, 11, 13)]  # the clocks changed in between
    bench.import_into(lake, source)
    measure("bench.workloads.lake_fixture", [str(lake), *map(str, copies)], lake)
    with bench.on_day(source, copies[0]) as again:
        bench.import_into(lake, again)
    with bench.on_day(source, date(2025, 11, 17)) as new:
        bench.import_into(lake, new)
    with duckdb.connect(str(LakePaths.under(lake).database), read_only=True) as connection:
        held = connection.execute(
            "SELECT to_timestamp(timestamp // 1000) AT TIME ZONE 'America/New_York', count(*) "
            "FROM gex_strikes GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        description = connection.execute("SELECT trading_day, strike_rows FROM partitions").fetchall()
    days = sorted([*copies, source.day.day, date(2025, 11, 17)])
    assert sorted(description) == [(day, SNAPSHOTS * STRIKES) for day in days]
    assert len(held) == SNAPSHOTS * len(days)
    assert {count for _, count in held} == {STRIKES}
    assert sorted({moment.date() for moment, _ in held}) == days
    assert {moment.hour for moment, _ in held} == {9}


def test_a_file_is_imported_into_the_lake_of_the_settings(tmp_path: Path, bench: Workbench) -> None:
    paths, day = LakePaths.under(tmp_path), Day(snapshots=SNAPSHOTS, day=date(2025, 11, 18))
    staged = paths.staged(day.ticker, day.endpoint, day.file_name)
    staged.parent.mkdir(parents=True)
    summary = moved(bench.input(), day.day, staged).summary
    row = import_staged(staged, summary.sha256, Settings(paths))
    assert (row.snapshots, row.strike_rows) == (summary.snapshots, summary.strike_rows)
    assert (row.trading_day, row.checksum, row.source_bytes) == (day.day, summary.sha256, summary.bytes)


@pytest.mark.slow
def test_the_program_prints_its_sections_and_leaves_nothing_but_the_input(tmp_path: Path) -> None:
    words = ["--only", "import", "queries", "--runs", "1", "--snapshots", str(SNAPSHOTS)]
    finished = bench_program(tmp_path, *words)
    assert finished.returncode == 0, finished.stderr
    assert "A trial on smaller days" in finished.stdout
    for name in (imports.SEED, imports.OURS, imports.OURS_BOUNDED):
        assert f"\n| {name} |" in finished.stdout
    for question in queries.QUESTIONS:
        assert f"\n| {question.title} | {question.of} |" in finished.stdout
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".json"]


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "nothing"],
        pytest.param(["--runs", "0"], marks=pytest.mark.slow),
        pytest.param(["--snapshots", "many"], marks=pytest.mark.slow),
    ],
)
def test_the_program_refuses_unknown_sections(tmp_path: Path, words: list[str]) -> None:
    finished = bench_program(tmp_path, *words)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert not (tmp_path / "kept").exists()


def test_the_program_reports_a_failure_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    finished = bench_program(tmp_path, "--runs", "1")
    assert finished.returncode == 1
    assert finished.stderr.startswith("bench: ")
    assert len(finished.stderr.splitlines()) == 1


def bench_program(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.run", *words],
        cwd=ROOT,
        env={**os.environ, "GEXLAKE_BENCH_DIR": str(folder / "kept")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
