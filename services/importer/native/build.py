"""Compile the reader: ``python -m services.importer.native.build``.

The compiler is ``$CC``, ``cc``, ``gcc`` or ``clang``, or else the one that the package ``ziglang`` carries.
``--find`` only looks for a compiler: it prints nothing, and exits with status 1 if there is none. Needs only
Python.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

COMMAND: Final = "python -m services.importer.native.build"
FLAGS: Final = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O3",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-fPIC",
    "-shared",
)
"""``_GNU_SOURCE``: strtod_l."""

_FOLDER: Final = Path(__file__).parent
_ZIG: Final = (sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline", "-fno-sanitize=undefined")
"""By default, zig compiles for this machine's processor only and adds checks for undefined behaviour."""
_PROBE: Final = "#include <math.h>\n#include <stdlib.h>\ndouble probe(double x) { return floor(x); }\n"


class NoCompiler(Exception):
    """This machine has no C compiler that works."""

    def __init__(self) -> None:
        super().__init__(
            "no C compiler works here ($CC, cc, gcc, clang): install one (Debian: gcc libc6-dev) "
            "or the package ziglang (pip install --require-hashes -r requirements/compiler.txt)"
        )


def sources() -> list[Path]:
    """Return the C files."""
    return sorted(_FOLDER.glob("*.c"))


def library_path() -> Path:
    """Return where the library for these sources and this platform is, or would be."""
    digest = hashlib.sha256(repr((FLAGS, _platform())).encode())
    for path in sorted(_FOLDER.glob("*.[ch]")):
        digest.update(f"\n{path.name}\n".encode() + path.read_bytes())
    return _FOLDER / f"reader-{digest.hexdigest()[:16]}.so"


def build() -> Path:
    """Compile the library if it is missing or cannot be loaded, remove outdated ones, and return its path.

    Raises:
        NoCompiler: there is none.
        subprocess.CalledProcessError: the compiler failed.
    """
    path = library_path()
    if not _loads(path):
        compile_library(path, compiler())
    for other in _FOLDER.glob("reader-*.so"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def compile_library(path: Path, command: Sequence[str], extra: Sequence[str] = ()) -> None:
    """Compile the library and put it in place atomically.

    Args:
        path: where.
        command: the compiler.
        extra: further flags and sources.

    Raises:
        subprocess.CalledProcessError: the compiler failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder:
        out = Path(folder) / path.name
        words = [*command, *FLAGS, *extra, *map(str, sources()), "-lm", "-o", str(out)]
        subprocess.run(words, check=True, env=_environment(folder))
        out.replace(path)


def compiler() -> tuple[str, ...]:
    """Return the command of the first compiler that works.

    Raises:
        NoCompiler: none does.
    """
    named = tuple(shlex.split(os.environ.get("CC", "")))
    for command in (named, ("cc",), ("gcc",), ("clang",)):
        if command and shutil.which(command[0]) and _works(command):
            return command
    if find_spec("ziglang") is not None:
        return _ZIG
    raise NoCompiler


def main() -> None:
    """Compile the library, or with ``--find`` only look for a compiler."""
    if sys.argv[1:] == ["--find"]:
        sys.exit(0 if _has_compiler() else 1)
    try:
        build()
    except (NoCompiler, subprocess.CalledProcessError) as error:
        sys.exit(f"the importer's reader was not compiled: {error}")


def _has_compiler() -> bool:
    try:
        compiler()
    except NoCompiler:
        return False
    return True


def _works(command: Sequence[str]) -> bool:
    """Return whether a compiler compiles and links; a Debian without libc6-dev has one that does not."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*command, *FLAGS, "-x", "c", "-", "-lm", "-o", f"{folder}/probe.so"]
        return (
            subprocess.run(words, input=_PROBE, text=True, capture_output=True, check=False).returncode == 0
        )


def _loads(path: Path) -> bool:
    if path.exists():
        with suppress(OSError):
            ctypes.CDLL(str(path))
            return True
    return False


def _platform() -> str:
    """Return the processor and the C library that the interpreter was built for."""
    return f"{sysconfig.get_platform()} {sysconfig.get_config_var('MULTIARCH')}"


def _environment(folder: str) -> dict[str, str]:
    """Return the environment, with zig's caches in a temporary folder."""
    return {**os.environ, "ZIG_GLOBAL_CACHE_DIR": f"{folder}/zig", "ZIG_LOCAL_CACHE_DIR": f"{folder}/zig"}


if __name__ == "__main__":
    main()
