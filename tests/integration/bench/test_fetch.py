"""The benchmark's section on the fetcher: a broker, a fetcher, the vendor's stand-in, and curl beside it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from bench.measure.processes import BenchFailed
from bench.sections import fetch
from bench.workbench import Workbench
from bench.workloads.fetching import fetching


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what is compared with")
def test_fetches_are_timed_beside_those_of_curl(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bench = Workbench(tmp_path / "inputs", scratch, 1, 100, 2, lambda _: None)
    one, many = fetch.measured(bench)
    assert [row[0] for row in one.rows] == [fetch.CURL, fetch.FETCHER, fetch.LARGER]
    names = [fetch.CURLS, fetch.CURLS_AND_SUMS, fetch.FETCHER]
    assert [row[0] for row in many.rows] == names
    assert all(float(row[1]) > 0 for row in (*one.rows, *many.rows))
    assert list(scratch.iterdir()) == []


def test_a_file_that_is_another_one_ends_the_benchmark(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "day.json").write_bytes(b"[1]")
    with fetching(served, tmp_path / "stack") as fetched:
        fetched.restart()
        assert fetched.fetch(["day.json"], hashlib.sha256(b"[1]").hexdigest()).seconds > 0
        with pytest.raises(BenchFailed, match="as another file"):
            fetched.fetch(["day.json"], hashlib.sha256(b"[2]").hexdigest())
        with pytest.raises(BenchFailed, match="has no such file"):
            fetched.fetch(["missing.json"], "")
