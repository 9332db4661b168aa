"""The build of the reader in C: which compiler, which file, and when it is compiled again."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

import pytest

from services.importer.native import build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the sources that ``build`` takes for its own."""
    folder = tmp_path / "native"
    shutil.copytree(build.library_path().parent, folder, ignore=shutil.ignore_patterns("*.so"))
    monkeypatch.setattr(build, "_FOLDER", folder)
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which programs are found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    return folder


def _compiler_in(folder: Path, name: str, status: int) -> None:
    (folder / name).write_text(f"#!/bin/sh\nexit {status}\n")
    (folder / name).chmod(0o755)


def test_a_built_library_loads_and_is_not_built_again(folder: Path) -> None:
    path = build.build()
    assert path.parent == folder
    ctypes.CDLL(str(path))
    before = path.stat().st_mtime_ns
    assert build.build() == path
    assert path.stat().st_mtime_ns == before
    assert not list(folder.glob(".build-*"))


def test_changed_sources_have_another_library_and_the_old_one_is_removed(folder: Path) -> None:
    old = build.build()
    (folder / "plan.h").write_text((folder / "plan.h").read_text() + "/* changed */\n")
    new = build.build()
    assert new != old
    assert new.exists()
    assert not old.exists()


def test_another_platform_has_another_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = build.library_path()
    monkeypatch.setattr(build, "_platform", lambda: "linux-riscv64 riscv64-linux-musl")
    assert build.library_path() != here
    assert build.library_path().parent == folder


def test_a_library_that_cannot_be_loaded_is_built_again(folder: Path) -> None:
    build.library_path().write_bytes(b"cut off")
    ctypes.CDLL(str(build.build()))
    assert folder.exists()


def test_the_compiler_that_the_environment_names_comes_first(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cc", "mine"):
        _compiler_in(programs, name, 0)
    assert build.compiler() == ("cc",)
    monkeypatch.setenv("CC", "mine -m64")
    assert build.compiler() == ("mine", "-m64")


def test_a_compiler_that_does_not_work_is_passed_over(programs: Path) -> None:
    _compiler_in(programs, "cc", 1)
    _compiler_in(programs, "clang", 0)
    assert build.compiler() == ("clang",)


def test_a_machine_without_a_compiler_uses_the_one_from_a_wheel(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: name)
    assert build.compiler()[:4] == (sys.executable, "-m", "ziglang", "cc")
    assert not list(programs.iterdir())


def test_find_exits_with_1_if_there_is_no_compiler(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["build", "--find"])
    for status in (1, 0):
        with pytest.raises(SystemExit) as ended:
            build.main()
        assert ended.value.code == status
        _compiler_in(programs, "cc", 0)


def test_without_any_compiler_one_line_says_what_to_install(
    folder: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(programs.iterdir())
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["build"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    message = str(ended.value.code)
    assert "no C compiler works here" in message
    assert "requirements/compiler.txt" in message
    assert os.linesep not in message
    assert not list(folder.glob("*.so"))
