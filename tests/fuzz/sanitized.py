"""Try the compiled reader with sanitizers in it: ``python -m tests.fuzz.sanitized`` (Linux, gcc).

It is built into ``build/fuzz``, beside the one that is installed, and the tests that read most are run on it.
A byte read or written where none is, or arithmetic that C leaves open, ends them at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from typing import Final

from tests.support.repository import ROOT

_NATIVE: Final = ROOT / "services" / "importer" / "native"
_READER: Final = ROOT / "build" / "fuzz" / "_records.abi3.so"
_FLAGS: Final = ("-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fPIC", "-shared", "-fno-omit-frame-pointer")
_SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_TESTS: Final = (
    "tests/unit/importer/reader/test_arrow_stream.py",
    "tests/unit/importer/reader/test_refused.py",
    "tests/unit/importer/imports/test_properties.py",
    "tests/fuzz/test_streams.py",
)


def main() -> None:
    """Build the reader and run the tests."""
    _build()
    sys.exit(_tested())


def _build() -> None:
    _READER.parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(map(str, _NATIVE.glob("*.c")))
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(["gcc", *_FLAGS, *_SANITIZERS, include, *sources, "-lm", "-o", str(_READER)], check=True)  # noqa: S607


def _tested() -> int:
    surroundings = {
        **os.environ,
        "LD_PRELOAD": f"{_library('libasan.so')} {_library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own are many
        "HYPOTHESIS_PROFILE": "quick",
        "GEXLAKE_TEST_READER": str(_READER),
    }
    command = [sys.executable, "-m", "pytest", "-p", "tests.fuzz.other_reader", "--timeout=0", *_TESTS]
    return subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode


def _library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True)  # noqa: S607
    return found.stdout.strip()


if __name__ == "__main__":
    main()
