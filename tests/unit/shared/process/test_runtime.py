"""How a service starts, and how its parts end together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.process.runtime import EXIT_STATUS, BrokerGone, run, supervise
from shared.process.settings import Settings
from tests.support.repository import ROOT


@pytest.fixture
async def closed() -> asyncio.Event:
    return asyncio.Event()


async def run_forever() -> None:
    await asyncio.Event().wait()


async def test_working_parts_drain_and_then_the_background_ends(closed: asyncio.Event) -> None:
    stop, begun = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        await stop.wait()
        ended.append("work")

    async def background() -> None:
        begun.set()
        try:
            await run_forever()
        finally:
            ended.append("background")

    service = asyncio.create_task(supervise(closed, stop, working=[work()], background=[background()]))
    await begun.wait()
    stop.set()
    await asyncio.wait_for(service, 5)
    assert ended == ["work", "background"]


async def test_a_connection_closed_for_good_ends_the_service(closed: asyncio.Event) -> None:
    stop = asyncio.Event()
    closed.set()
    with pytest.raises(BrokerGone):
        await asyncio.wait_for(supervise(closed, stop, background=[run_forever()]), 5)
    assert stop.is_set()


async def test_a_part_that_fails_ends_the_service_with_its_error(closed: asyncio.Event) -> None:
    stop = asyncio.Event()

    async def fail() -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        await asyncio.wait_for(supervise(closed, stop, working=[stop_waiting(stop)], background=[fail()]), 5)


async def stop_waiting(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_a_part_that_loses_its_cancellation_is_cancelled_again(
    closed: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.process.runtime.CANCEL_AGAIN_S", 0.05)
    stop, waiting = asyncio.Event(), asyncio.Event()
    lost: list[int] = []

    async def lose_cancellations() -> None:
        while True:
            try:
                waiting.set()
                await run_forever()
            except asyncio.CancelledError:
                lost.append(1)
                if len(lost) > 2:
                    raise

    service = asyncio.create_task(supervise(closed, stop, background=[lose_cancellations()]))
    await waiting.wait()
    stop.set()
    await asyncio.wait_for(service, 5)
    assert len(lost) == 3


async def must_not_serve(_settings: Settings, _stop: asyncio.Event) -> None:
    pytest.fail("the service was started")


def test_an_unusable_setting_ends_a_service_before_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("tester", Settings, must_not_serve, nats_port=0)
    assert ended.value.code == 1
    written = capsys.readouterr().err
    assert written.startswith("gexlake: the setting GEXLAKE_NATS_PORT is unusable")
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("/proc/nope", "No such file or directory"),
        ("file", "File exists"),
        ("file/logs", "Not a directory"),
        ("taken", "Is a directory"),  # as in a folder that may only be read, the file cannot be opened
    ],
)
def test_an_unwritable_log_folder_ends_a_service_with_one_line(
    folder: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "tester.log").mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        run("tester", Settings, must_not_serve, log_dir=tmp_path / folder)
    assert ended.value.code == 1
    written = capsys.readouterr().err
    assert written == f"gexlake: no log can be written in {tmp_path / folder}: {problem} (GEXLAKE_LOG_DIR)\n"


STUCK = """
import asyncio, time
from shared.process import runtime
from shared.process.settings import Settings
from tests.support.repository import ROOT

async def serve(settings, stop):
    print("ready", flush=True)
    await stop.wait()
    await asyncio.to_thread(time.sleep, 60)

runtime.EXIT_AFTER_DRAIN_S = 0.1
runtime.run("stuck", Settings, serve)
"""


def test_a_service_ends_after_its_drain_timeout_whatever_still_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GEXLAKE_DRAIN_TIMEOUT_S": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", STUCK],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
    assert process.returncode == EXIT_STATUS
    assert "exit_without_drain" in printed
