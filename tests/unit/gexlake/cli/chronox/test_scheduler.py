"""``gexlake scheduler``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

JOBS = [
    {
        "id": "gap_detection",
        "trigger": "daily at 00:00 UTC",
        "running": False,
        "next_run": "2025-11-15T00:00:00Z",
        "last_run": "2025-11-14T00:00:00Z",
        "last_counts": {"detected": 2, "resolved": 0},
    },
    {"id": "snapshot_refresh", "trigger": "every 300 s", "running": True},
    {"id": "stream_monitoring", "trigger": "every 60 s", "running": False, "last_error": "it is not running"},
]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_status_shows_the_rounds_of_each_job_and_that_the_schedule_is_stopped(
    say: Say, intake: FakeIntake
) -> None:
    intake.body = {"running": False, "jobs": JOBS}
    status, out, err = say("scheduler", "status")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    gaps = "gap_detection daily at 00:00 UTC 2025-11-14 00:00:00 2025-11-15 00:00:00 detected 2"
    assert status == 0
    assert gaps in rows
    assert "snapshot_refresh every 300 s running" in rows
    assert "stream_monitoring every 60 s it is not running" in rows
    assert "gexlake scheduler start" in err


def test_each_command_sends_its_request(say: Say, intake: FakeIntake) -> None:
    intake.body = {"running": True, "jobs": []}
    for command in (["start"], ["stop"], ["run", "gap_detection"]):
        assert say("scheduler", *command)[0] == 0
    paths = [path for _, path, _ in intake.asked]
    assert paths == [
        "/api/v1/scheduler/start",
        "/api/v1/scheduler/stop",
        "/api/v1/scheduler/jobs/gap_detection/run",
    ]
