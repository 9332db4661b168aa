"""Commands of ``gexlake``, run in the test's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from gexlake.cli.__main__ import main

Say: TypeAlias = Callable[..., tuple[int, str, str]]
"""Runs a command and returns its exit status, standard output and standard error."""


def saying(capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that runs a command."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
