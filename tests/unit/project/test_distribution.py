"""What ``pip install .`` installs: one package, which works without those of the services."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import gexlake
from tests.support.repository import ROOT


def test_the_distribution_has_no_top_level_package_but_gexlake() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert found.keys() == {"include"}
    packages = [folder.parent.name for folder in ROOT.glob("*/__init__.py")]
    assert {"gexlake", "services", "shared"} <= set(packages)
    included = [name for name in packages for pattern in found["include"] if fnmatch(name, pattern)]
    assert included == ["gexlake"]


@pytest.mark.slow
def test_the_command_works_in_an_empty_environment(tmp_path: Path) -> None:
    source, venv = tmp_path / "source", tmp_path / "venv"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("gexlake", "services", "shared"):
        shutil.copytree(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)

    def run(*command: str) -> str:
        program = venv / "bin" / command[0]
        return subprocess.run(
            [program, *command[1:]], check=True, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ).stdout

    pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", str(ROOT / "requirements/cli.txt"))
    run(*pip, "--no-deps", str(source))
    assert run("gexlake", "--version") == f"gexlake {gexlake.__version__}\n"
    assert "backfill" in run("gexlake", "--help")
    find = "from importlib.util import find_spec; print(*map(find_spec, ('shared', 'services', 'cli')))"
    assert run("python", "-c", find) == "None None None\n"
