"""Try the compiled reader with sanitizers in it: ``python -m tests.fuzz.sanitized`` (Linux, gcc).

It is built into ``build/fuzz``, beside the usual one, and the tests that read most run on it. Any access out
of bounds and any undefined behaviour ends them at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from services.importer.native.build import compile_library
from tests.support.repository import ROOT

_READER: Final = ROOT / "build" / "fuzz" / "reader.so"
_EXTRA: Final = (
    *("-g", "-O1", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
_TESTS: Final = (
    "tests/unit/importer/reader/test_arrow_stream.py",
    "tests/unit/importer/reader/test_refused.py",
    "tests/unit/importer/imports/test_properties.py",
    "tests/fuzz/test_streams.py",
)


def main() -> None:
    """Build the reader and run the tests."""
    compile_library(_READER, ("gcc",), _EXTRA)
    sys.exit(_tested())


def _tested() -> int:
    surroundings = {
        **os.environ,
        "LD_PRELOAD": f"{_library('libasan.so')} {_library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own are many
        "HYPOTHESIS_PROFILE": "full",
        "GEXLAKE_TEST_READER": str(_READER),
    }
    command = [sys.executable, "-m", "pytest", "-p", "tests.fuzz.other_reader", "--timeout=0", *_TESTS]
    return subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode


def _library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True)  # noqa: S607
    return found.stdout.strip()


if __name__ == "__main__":
    main()
