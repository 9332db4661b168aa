"""``gexlake replay-day``: what is read, what is posted, what is printed, how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gexlake.cli.replay_day import command
from tests.support.gexlake.commands import Say, saying
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

DAY = ("replay-day", "nq_ndx", "gex_zero", "2025-11-14")
FIRST_MS = 1763130600000
OFFSET_MS = -5 * 3600 * 1000


def overview(count: int, seconds: int = 2) -> dict[str, Any]:
    names = ("count", "first", "last", "offset")
    row = [count, FIRST_MS, FIRST_MS + seconds * 1000, OFFSET_MS] if count else [0, None, None, None]
    columns = [{"name": name, "type": "BIGINT"} for name in names]
    return {"columns": columns, "rows": [row], "truncated": False, "seconds": 0.1}


def page(*seconds: int, following: str | None = None) -> dict[str, Any]:
    snapshots = [
        {"timestamp": FIRST_MS + 1000 * second, "spot_price": 1.5, "source": "history"} for second in seconds
    ]
    return {"snapshots": snapshots, "next": following}


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return saying(capsys)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.bodies = {
            "/api/v1/sql": [overview(3)],
            "/gex/snapshots": [page(0, 1, following="/gex/next?cursor=1"), page()],
            "/gex/next": [page(2)],
        }
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        monkeypatch.setenv("GEXLAKE_API_KEY", "secret-of-the-source")
        yield fake


@pytest.fixture
def target() -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.body = {"status": "success"}
        described = {"/gex": {"post": {"parameters": [{"name": "stream_only"}]}}}
        fake.bodies = {"/gex/snapshots": [page()], "/openapi.json": [{"paths": described}]}
        yield fake


def posted(fake: FakeIntake) -> list[Any]:
    return [body for _, path, body in fake.asked if path.partition("?")[0] == "/gex"]


def test_every_snapshot_of_the_day_is_posted_to_another_gexlake(
    source: FakeIntake, target: FakeIntake, say: Say
) -> None:
    status, out, err = say(*DAY, "--to", target.url, "--speed", "max")
    assert (status, err) == (0, "")
    records = [
        {"timestamp": 1763130600 + n, "ticker": "NQ_NDX", "endpoint": "gex_zero", "spot": 1.5}
        for n in range(3)
    ]
    assert sorted(posted(target), key=lambda record: int(record["timestamp"])) == records
    assert "3 snapshots, 09:30:00 to 09:30:02 New York, as fast as it goes" in out
    assert "posted 3 records of 3 of 3 snapshots in " in out
    assert "0 gaps, 0 duplicates, 0 reordered" in out
    (_, _, query), (_, first, _), (_, following, _) = source.asked
    assert (
        "timestamp >= new_york_ms('2025-11-14 00:00:00') AND timestamp < new_york_ms('2025-11-15 00:00:00')"
        in query["query"]
    )
    assert first.endswith(f"&start={FIRST_MS}&end={FIRST_MS + 2001}&strikes=true")
    assert following == "/gex/next?cursor=1"


def test_a_key_is_shown_only_to_the_gexlake_that_it_is_for(
    source: FakeIntake, target: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(*DAY, "--to", target.url, "--speed", "max")
    assert (source.authorization, target.authorization) == ("Bearer secret-of-the-source", None)
    monkeypatch.setenv("GEXLAKE_TO_API_KEY", "secret-of-the-target")
    say(*DAY, "--to", target.url, "--speed", "max")
    assert target.authorization == "Bearer secret-of-the-target"


@pytest.mark.usefixtures("source")
def test_a_day_that_the_target_has_from_history_is_not_posted(target: FakeIntake, say: Say) -> None:
    target.bodies["/gex/snapshots"] = [page(0)]
    status, _, err = say(*DAY, "--to", target.url, "--start", "09:30")
    assert (status, posted(target)) == (1, [])
    assert f"the lake of {target.url.rstrip('/')} has history of NQ_NDX gex_zero 2025-11-14, which" in err
    _, asked, _ = target.asked[0]
    assert asked.endswith("start=2025-11-14&end=2025-11-14&source=history&limit=1")
    status, _, _ = say(*DAY, "--to", target.url, "--speed", "max", "--stream-only")
    assert status == 0
    assert {path for _, path, body in target.asked if body} == {"/gex?stream_only=true"}


@pytest.mark.usefixtures("source")
def test_a_replay_for_stream_readers_is_not_posted_where_it_would_be_stored(
    target: FakeIntake, say: Say
) -> None:
    target.bodies["/openapi.json"] = [{"paths": {"/gex": {"post": {}}}}]
    status, _, err = say(*DAY, "--to", target.url, "--stream-only")
    assert (status, posted(target)) == (1, [])
    assert "does not know stream_only and would store the day" in err


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("readers", "line"),
    [
        (2, "readers of /gex/stream?replay=true: 2"),
        (0, "no reader got it: 'curl -N URL/gex/stream?replay=true'"),
    ],
)
def test_a_replay_for_stream_readers_says_how_many_there_were(
    target: FakeIntake, say: Say, readers: int, line: str
) -> None:
    target.body = {"status": "success", "readers": readers}
    status, out, _ = say(*DAY, "--to", target.url, "--speed", "max", "--stream-only")
    assert (status, line in out) == (0, True)


def test_a_part_of_a_day_is_asked_for_in_new_yorks_time(
    source: FakeIntake, target: FakeIntake, say: Say
) -> None:
    say(*DAY, "--to", target.url, "--start", "10:00", "--end", "11:30:15", "--dry-run")
    query = source.asked[0][2]["query"]
    assert (
        "timestamp >= new_york_ms('2025-11-14 10:00:00') AND timestamp < new_york_ms('2025-11-14 11:30:15')"
        in query
    )


def test_a_dry_run_says_what_would_be_posted(source: FakeIntake, target: FakeIntake, say: Say) -> None:
    source.bodies["/api/v1/sql"] = [overview(1000, seconds=999)]
    status, out, _ = say(*DAY, "--to", target.url, "--dry-run", "--speed", "3", "--gaps", "1", "--json")
    assert (status, posted(target)) == (0, [])
    status, out, _ = say(*DAY, "--to", target.url, "--dry-run", "--speed", "3", "--gaps", "1")
    assert "1,000 snapshots, 09:30:00 to 09:46:39 New York, 5 min 33 s at speed 3" in out
    assert "1,000 gaps, 0 duplicates, 0 reordered" in out


@pytest.mark.usefixtures("source")
def test_a_record_that_is_refused_shows_in_the_exit_status(
    target: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_check_target", lambda *_, **__: None)
    target.status = 422
    target.body = {"error": {"message": "zero_gamma: it is missing"}}
    status, out, _ = say(*DAY, "--to", target.url, "--speed", "max", "--json")
    summary = json.loads(out)
    assert (status, summary["refused"], summary["refusal"]) == (1, 3, "zero_gamma: it is missing")
    assert summary["posted"] == 0


@pytest.mark.usefixtures("source")
def test_ctrl_c_prints_what_was_posted(target: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    status, out, _ = say(*DAY, "--to", target.url)
    assert (status, "posted 0 records of 0 of 3 snapshots" in out) == (130, True)


def test_a_day_without_snapshots_is_an_error(source: FakeIntake, target: FakeIntake, say: Say) -> None:
    source.bodies["/api/v1/sql"] = [overview(0)]
    status, _, err = say(*DAY, "--to", target.url, "--end", "10:00")
    assert status == 1
    assert "the lake has no snapshots of NQ_NDX gex_zero 2025-11-14 to 10:00:00" in err


@pytest.mark.parametrize(
    "wrong",
    [("--speed", "0"), ("--speed", "fast"), ("--start", "noon"), ("--end", "10:00+01:00"), ("--gaps", "2")],
)
def test_a_wrong_option_is_a_usage_error(say: Say, wrong: tuple[str, str]) -> None:
    status, _, err = say(*DAY, *wrong)
    assert (status, wrong[0] in err) == (2, True)


def test_a_wrong_day_is_a_usage_error(say: Say) -> None:
    assert say("replay-day", "NQ_NDX", "gex_zero", "2025-13-01")[0] == 2
