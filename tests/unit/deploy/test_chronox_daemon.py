"""The daemon that keeps registered symbols running, as systemd and Docker start it."""

from __future__ import annotations

import re

import pytest
import yaml
from typer.testing import CliRunner

from gexlake.cli.commands import app
from tests.support.repository import ROOT


def of_systemd() -> list[str]:
    unit = (ROOT / "deploy/systemd/gexlake-chronox.service").read_text()
    assert "\nRestart=always\n" in unit
    (command,) = re.findall(r"^ExecStart=/opt/gexlake/\.venv/bin/gexlake (.+)$", unit, re.MULTILINE)
    return str(command).split()


def of_compose() -> list[str]:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())
    chronox = service["services"]["chronox"]
    assert chronox["profiles"] == ["chronox"]
    return list(chronox["command"])


@pytest.mark.parametrize("command", [of_systemd(), of_compose()], ids=["systemd", "compose"])
def test_the_daemon_is_a_command_that_exists(command: list[str]) -> None:
    assert command == ["chronox", "--daemon"]
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0
