"""The stack of processes starts, restarts killed processes, and ends all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.stack import SERVICES, Stack, StackError

pytestmark = pytest.mark.usefixtures("_settings_of_the_caller")


@pytest.fixture
def _settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that would break every service, if they were passed on."""
    for name in ("GEXLAKE_NATS_URL", "GEXLAKE_PORT", "PORT", "GEXLAKE_RETRY_DELAY_S", "RATE_LIMIT_HISTORY"):
        monkeypatch.setenv(name, "nonsense")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", env={"GEXLAKE_LOG_LEVEL": "warning"}) as stack:
        yield stack


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(stack: Stack) -> list[int]:
    nats = stack.nats.process
    return [process.pid for process in (*stack.processes.values(), nats) if process is not None]


def test_it_starts_restarts_killed_processes_and_ends_all(stack: Stack) -> None:
    assert set(stack.processes) == set(SERVICES)
    assert all(stack.log_of(name).is_file() for name in (*SERVICES, "nats"))
    assert (stack.data_dir / "gex_data.db").is_file()
    importer = stack.processes["importer"].pid
    stack.kill("importer")
    stack.kill("nats")
    assert not is_running(importer)
    stack.start_service("nats")
    stack.start_service("importer")
    stack.start_service("fetcher", instance=2)
    stack.wait_ready()
    before = pids(stack)
    stack.stop()
    assert len(before) == len(SERVICES) + 2
    assert [pid for pid in before if is_running(pid)] == []


def test_the_exit_status_of_a_service_is_returned(stack: Stack) -> None:
    with pytest.raises(StackError, match="fetcher runs already"):
        stack.start_service("fetcher")
    with pytest.raises(StackError, match=r"fetcher has not ended within 0.05 s"):
        stack.wait_exit("fetcher", within_s=0.05)
    assert stack.stop_service("fetcher") == 0
    os.kill(stack.processes["janitor"].pid, signal.SIGKILL)
    assert stack.wait_exit("janitor") == -signal.SIGKILL


def test_a_failed_start_raises_with_the_end_of_the_log(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", env={"GEXLAKE_RETRY_DELAY_S": "soon"})
    stack.start()
    before = pids(stack)
    try:
        with pytest.raises(StackError, match="GEXLAKE_RETRY_DELAY_S is unusable"):
            stack.wait_ready()
    finally:
        stack.stop()
    assert [pid for pid in before if is_running(pid)] == []


def test_an_exception_in_the_block_leaves_no_process(tmp_path: Path) -> None:
    before: list[int] = []
    with pytest.raises(KeyboardInterrupt), Stack(tmp_path / "stack") as stack:  # noqa: PT012 (the block is meant)
        before = pids(stack)
        raise KeyboardInterrupt
    assert len(before) == len(SERVICES) + 1
    assert [pid for pid in before if is_running(pid)] == []
