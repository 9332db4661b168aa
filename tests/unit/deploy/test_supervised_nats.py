"""When nats-server is restarted, and its health check in a container."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.supervised_nats import CHECKS_BEFORE_RESTART, Health, RestartRule, has_room
from tests.support.repository import ROOT

GOOD, BAD, UNKNOWN = Health.GOOD, Health.BAD, Health.UNKNOWN
ERRORS = [Health.WRITE_ERROR] * CHECKS_BEFORE_RESTART


@pytest.mark.parametrize(
    ("checks", "room", "restarts"),
    [
        pytest.param([GOOD, *ERRORS], True, True, id="a stream that cannot be written"),
        pytest.param(ERRORS, True, True, id="the disk was full at the start"),
        pytest.param([GOOD, *ERRORS], False, False, id="the disk is still full"),
        pytest.param([GOOD, *ERRORS[1:]], True, False, id="an error that may pass"),
        pytest.param([GOOD, *ERRORS[1:], GOOD, BAD], True, False, id="an error that passed"),
        pytest.param([GOOD, BAD, BAD, BAD], True, True, id="JetStream is off"),
        pytest.param([BAD, BAD, BAD, BAD], True, False, id="still reading its streams"),
        pytest.param([GOOD, *[UNKNOWN] * 5], True, False, id="no response says nothing"),
    ],
)
def test_it_restarts_after_an_error_that_space_on_the_disk_can_end(
    checks: list[Health], room: bool, restarts: bool
) -> None:
    rule = RestartRule(lambda: room)
    assert [rule.saw(check) for check in checks][-1] is restarts


def test_it_restarts_once_there_is_space() -> None:
    rooms = iter([False, False, True])
    rule = RestartRule(lambda: next(rooms))
    rule.saw(GOOD)
    assert [rule.saw(BAD) for _ in range(5)] == [False, False, False, False, True]


def test_a_folder_that_cannot_be_written_has_no_room(tmp_path: Path) -> None:
    assert has_room(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not has_room(tmp_path / "missing")


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., int]:
    """Return the health check of the container, of a server that is healthy or not."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "state").mkdir()
    wget = tmp_path / "bin" / "wget"

    def run(pid: int, *, healthy: bool, store: Path = tmp_path) -> int:
        wget.write_text(f"#!/bin/sh\nexit {0 if healthy else 8}\n")
        wget.chmod(0o755)
        return subprocess.run(
            [ROOT / "deploy" / "nats-health", store, str(pid)],
            env={"PATH": f"{wget.parent}:/usr/bin:/bin", "TMPDIR": str(tmp_path / "state")},
            check=False,
        ).returncode

    return run


def test_the_containers_check_ends_a_server_that_only_a_restart_can_mend(
    check: Callable[..., int], tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "60"], stderr=subprocess.DEVNULL) as server:  # noqa: S607
        pid = server.pid
        assert [check(pid, healthy=False) for _ in range(4)] == [1] * 4  # it may be reading its streams
        assert [check(pid, healthy=good) for good in (True, False, False, True)] == [0, 1, 1, 0]
        assert [check(pid, healthy=False, store=tmp_path / "full") for _ in range(4)] == [1] * 4
        assert server.poll() is None
        assert check(pid, healthy=False) == 1
        assert server.wait(timeout=10) < 0
    assert not (tmp_path / ".room").exists()
