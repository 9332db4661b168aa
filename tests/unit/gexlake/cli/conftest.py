"""Fixtures of the command line's tests."""

from __future__ import annotations

import pytest

from tests.support.gexlake.commands import Say, saying


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return saying(capsys)
