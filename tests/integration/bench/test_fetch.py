"""The benchmark of the fetcher: a broker, a fetcher and the vendor's stand-in, compared with curl."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from bench.measure.processes import BenchFailed
from bench.sections import fetch
from bench.workbench import Workbench
from bench.workloads.fetching import fetching


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the section compares with curl")
def test_fetches_are_compared_with_curl_and_sha256sum(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bench = Workbench(tmp_path / "inputs", scratch, 1, 100, 2, lambda _: None)
    one, many = fetch.measured(bench)
    assert [row[0] for row in one.rows] == [fetch.CURL, fetch.FETCHER, fetch.LARGER]
    assert [row[0] for row in many.rows] == [fetch.CURLS, fetch.FETCHER]
    assert all(float(row[1]) > 0 for row in (*one.rows, *many.rows))
    assert ["≤ 1:" in one.rows[1][4], "≤ 1.5:" in many.rows[1][4]] == [True, True]
    assert list(scratch.iterdir()) == []


def test_a_wrong_checksum_ends_the_benchmark(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "day.json").write_bytes(b"[1]")
    with fetching(served, tmp_path / "stack") as fetched:
        fetched.restart()
        assert fetched.fetch(["day.json"], hashlib.sha256(b"[1]").hexdigest()).seconds > 0
        with pytest.raises(BenchFailed, match="was staged with the sha256"):
            fetched.fetch(["day.json"], hashlib.sha256(b"[2]").hexdigest())
        with pytest.raises(BenchFailed, match="has no such file"):
            fetched.fetch(["missing.json"], "")
