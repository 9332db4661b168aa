"""Fuzz the importer: ``python -m tests.fuzz [seconds]``, or with the file of a finding to see it again.

An input with which the lake differs from the oracle, that raises an unexpected error, or that takes longer
than ``_HANG_S`` ends the run with another exit code than 0, and is kept in ``build/fuzz``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import write_seeds
from tests.support.repository import ROOT

_HANG_S: Final = 20
_LARGEST: Final = 16_384
_FINDINGS: Final = ROOT / "build" / "fuzz"
_NOISE: Final = re.compile(
    r"nanobind: |See https://nanobind| - leaked | - \.\.\. skipped|INFO: Instrumenting|\s*$"
)
"""Lines that every run prints at its start, and DuckDB's binding at the end of a process."""


def main() -> None:
    """Fuzz for the given number of seconds, or import one input."""
    what = sys.argv[1] if len(sys.argv) > 1 else "600"
    _FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        code = _run(what, Path(scratch))
    if code:
        sys.exit(f"fuzzing found something: see the traceback above, and {_FINDINGS}")


def _run(what: str, scratch: Path) -> int:
    words = [what]
    if not Path(what).is_file():
        corpus = scratch / "corpus"
        corpus.mkdir()
        write_seeds(corpus)
        words = [str(corpus), f"-max_total_time={int(what)}", f"-max_len={_LARGEST}", "-reload=0"]
    limits = [f"-timeout={_HANG_S}", "-rss_limit_mb=4096", f"-artifact_prefix={_FINDINGS}/"]
    command = [sys.executable, "-m", "tests.fuzz.reader_atheris", str(scratch / "lakes"), *words, *limits]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as fuzzer:
        for line in fuzzer.stderr or ():
            if not _NOISE.match(line):
                sys.stderr.write(line)
    return fuzzer.returncode


if __name__ == "__main__":
    main()
