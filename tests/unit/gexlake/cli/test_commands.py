"""The commands, over real HTTP to a stand-in of intake: what is asked, what is printed, how it ends."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from simulator.nats_server import free_port
from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake
from tests.support.gexlake.responses import job_of, page_of

ID = "6f2f5b1e-1111-5000-8000-000000000000"
SECRET_URL = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=secret"
JOB = job_of(
    id=ID,
    state="completed",
    ticker="NQ_NDX",
    endpoint="gex_zero",
    trading_day="2025-11-14",
    bytes_fetched=148_861_861,
    snapshots=23_400,
    strike_rows=2_340_000,
    parquet_path="NQ_NDX/gex_zero/20251114.strikes.parquet",
    parquet_bytes=55_000_000,
    transitions=[
        {"state": "pending", "at": "2025-11-14T21:00:00Z"},
        {"state": "completed", "at": "2025-11-14T21:00:09Z"},
    ],
    requested_at="2025-11-14T21:00:00Z",
)
FAILED = {**JOB, "state": "failed", "error": "record 3 has no timestamp", "error_field": "timestamp"}
CANCELLED = {**JOB, "state": "cancelled", "reason": "wrong day"}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_submit_posts_what_was_given_and_prints_the_job(intake: FakeIntake, say: Say) -> None:
    intake.body = {"status": "queued", "id": ID}
    options = ("--endpoint", "gex_zero", "--priority", "high", "--force", "--reason", "vendor fixed it")
    status, out, _ = say("submit", SECRET_URL, *options)
    assert (status, out) == (0, f"queued: job {ID}\n")
    assert intake.asked == [
        (
            "POST",
            "/gex_history_url",
            {
                "url": SECRET_URL,
                "endpoint": "gex_zero",
                "priority": "high",
                "force": True,
                "reason": "vendor fixed it",
            },
        )
    ]


@pytest.mark.parametrize(
    "written", ["a day.json", "./a day.json", "{folder}/a day.json", "../{name}/a day.json"]
)
def test_the_path_of_a_file_is_submitted_as_its_url(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    (tmp_path / "a day.json").touch()
    monkeypatch.chdir(tmp_path)
    intake.body = {"status": "queued", "id": ID}
    assert say("submit", written.format(folder=tmp_path, name=tmp_path.name))[0] == 0
    assert intake.asked[0][2] == {"url": f"file://{tmp_path}/a%20day.json"}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("hist.gex.bot/a.json", "is not a URL, and no file here: give an https:// or file:/// URL"),
        ("/no/such/file.json", "is not a URL, and no file here"),
        (".", "is a folder"),
    ],
)
def test_what_is_neither_a_url_nor_a_file_is_not_posted(
    intake: FakeIntake, say: Say, written: str, problem: str
) -> None:
    status, _, err = say("submit", written)
    assert status == 1
    assert f"{written!r} {problem}" in one_line(err)
    assert intake.asked == []


def test_what_the_name_of_a_file_lacks_is_an_option(intake: FakeIntake, say: Say) -> None:
    intake.status = 422
    intake.body = {"error": {"field": "ticker", "rule": "missing", "message": 'send {"ticker": "…"}'}}
    err = say("submit", SECRET_URL)[2]
    assert err == "gexlake: the file's name does not contain the ticker: add --ticker\n"


def test_submit_with_force_needs_a_reason(intake: FakeIntake, say: Say) -> None:
    status, _, err = say("submit", SECRET_URL, "--force")
    assert status == 2
    assert "--reason" in err
    assert intake.asked == []


@pytest.mark.parametrize(
    ("job", "status"), [(JOB, 0), ({**JOB, "state": "skipped"}, 0), (FAILED, 1), (CANCELLED, 1)]
)
def test_watching_ends_with_the_final_state_in_the_exit_status(
    intake: FakeIntake, say: Say, job: dict[str, Any], status: int
) -> None:
    intake.body = job
    ended, out, err = say("job", ID, "--watch")
    assert (ended, err) == (status, "")
    assert out.splitlines()[-1].startswith(job["state"])


def test_watching_that_is_interrupted_says_how_to_go_on(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gexlake.cli.commands.follow", interrupted)
    intake.body = JOB
    status, _, err = say("job", ID, "--watch")
    assert status == 130
    assert f"the job goes on; 'gexlake job {ID} --watch' follows it again" in one_line(err)


class FullDisk(StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_output_that_cannot_be_written_is_one_line(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of(JOB)
    with redirect_stdout(FullDisk()):
        status, _, err = say("jobs")
    assert (status, err) == (1, "gexlake: the output cannot be written: No space left on device\n")


def test_submit_may_watch_too_and_print_the_finished_job_as_json(intake: FakeIntake, say: Say) -> None:
    intake.body = JOB
    status, out, _ = say("submit", SECRET_URL, "--watch", "--json")
    assert (status, json.loads(out)) == (0, JOB)
    assert [path for _, path, _ in intake.asked] == ["/gex_history_url", f"/jobs/{ID}", f"/jobs/{ID}"]


def test_jobs_are_a_table_with_whole_ids(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of(JOB, FAILED)
    status, out, _ = say("jobs", "--status", "failed", "--ticker", "NQ_NDX", "--limit", "2")
    assert status == 0
    assert out.count(ID) == 2
    assert "148.9 MB" in out
    assert "2,340,000" in out
    assert intake.asked[0][1] == "/jobs?status=failed&ticker=NQ_NDX&limit=2"


def test_jobs_that_fetched_nothing_have_no_size(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of({**JOB, "state": "pending", "bytes_fetched": 0})
    assert "bytes" not in say("jobs")[1]


def test_the_card_of_a_job_tells_what_was_fetched_unless_it_is_nothing(intake: FakeIntake, say: Say) -> None:
    intake.body = {**JOB, "state": "started", "bytes_expected": 150_000_000}
    assert "148.9 MB of 150.0 MB" in say("job", ID)[1]
    intake.body = {**JOB, "state": "pending", "bytes_fetched": 0}
    out = say("job", ID)[1]
    assert "fetched" not in out
    assert "0 bytes" not in out


def test_jobs_as_json_are_one_array(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of(JOB)
    assert json.loads(say("jobs", "--json")[1]) == [JOB]


def test_no_jobs_is_said_in_words(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of()
    assert say("jobs") == (0, "no jobs\n", "")


def test_a_failed_job_is_shown_with_its_error_and_field(intake: FakeIntake, say: Say) -> None:
    intake.body = FAILED
    status, out, _ = say("job", ID)
    assert status == 0
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["error"].strip() == "record 3 has no timestamp"
    assert lines["field"].strip() == "timestamp"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "the lake already holds this very file"),
        ({"no_data": True, "reason": "the vendor says so"}, "the vendor says so"),
        ({"no_data": True}, "the vendor has no data for this day"),
    ],
)
def test_a_skipped_job_is_shown_with_why(
    intake: FakeIntake, say: Say, changes: dict[str, Any], why: str
) -> None:
    intake.body = {**JOB, "state": "skipped", "skipped": True, **changes}
    lines = dict(line.split(None, 1) for line in say("job", ID)[1].splitlines())
    assert lines["why"].strip() == why


def test_text_of_others_is_never_taken_for_markup(intake: FakeIntake, say: Say) -> None:
    intake.body = {**FAILED, "error": "unexpected [/red] in [bold]record"}
    assert "unexpected [/red] in [bold]record" in say("job", ID)[1]


def test_what_is_no_id_reaches_no_route(intake: FakeIntake, say: Say) -> None:
    status, out, err = say("job", "../status")
    assert (status, out) == (1, "")
    assert "'../status' is neither a job's id nor the start of one" in one_line(err)
    assert intake.asked == []


@pytest.mark.parametrize(
    ("words", "request_made"),
    [
        (("job", ID[:4]), ("GET", f"/jobs/{ID}")),
        (("job", ID[:4].upper(), "--watch"), ("GET", f"/jobs/{ID}")),
        (("replay", ID[:4]), ("POST", f"/jobs/{ID}/replay")),
        (("cancel", ID[:4]), ("DELETE", f"/api/v1/processing-jobs/{ID}")),
    ],
)
def test_the_start_of_an_id_names_the_only_job_that_has_it(
    intake: FakeIntake, say: Say, words: tuple[str, ...], request_made: tuple[str, str]
) -> None:
    intake.body = JOB
    intake.bodies["/jobs"] = [page_of(JOB)]
    assert say(*words)[0] == 0
    looked_up, *made = [(method, path) for method, path, _ in intake.asked]
    assert looked_up == ("GET", f"/jobs?id={ID[:4]}&limit=8")
    assert set(made) == {request_made}


def test_the_start_of_no_id_is_said(intake: FakeIntake, say: Say) -> None:
    intake.body = page_of()
    assert "no job of the last 30 days has an id that starts with 3f2a" in one_line(say("job", "3f2a")[2])


def test_the_start_of_several_ids_lists_them(intake: FakeIntake, say: Say) -> None:
    other = job_of(id=ID.replace("1111", "2222"), ticker="SPX")
    intake.body = page_of(JOB, other) | {"total": 11}
    status, out, err = say("replay", "6f2f")
    assert (status, out) == (1, "")
    first, *jobs, more = err.splitlines()
    assert first == "gexlake: 11 jobs have an id that starts with 6f2f; give more of it:"
    assert [line.split()[:2] for line in jobs] == [[ID, "NQ_NDX"], [other["id"], "SPX"]]
    assert more == "  and 9 more"
    assert [method for method, _, _ in intake.asked] == ["GET"], "nothing is replayed"


def test_replay_asks_for_the_stage(intake: FakeIntake, say: Say) -> None:
    intake.body = {"status": "queued", "id": ID}
    assert say("replay", ID, "--stage", "import")[:2] == (0, f"queued: job {ID}\n")
    assert intake.asked == [("POST", f"/jobs/{ID}/replay", {"stage": "import"})]


def test_cancel_takes_the_id_of_a_request_if_no_job_has_it(intake: FakeIntake, say: Say) -> None:
    by_job, by_request = f"/api/v1/processing-jobs/{ID}", f"/api/v1/ingest/priority/{ID}"
    intake.statuses[by_job] = 404
    intake.bodies[by_job] = [{"error": {"field": "id", "rule": "not_found", "message": "no such job"}}]
    intake.body = {"status": "cancelled", "job_id": ID}
    assert say("cancel", ID, "--reason", "wrong day")[:2] == (0, f"cancelled: job {ID}\n")
    asked = [(method, path) for method, path, _ in intake.asked]
    assert asked == [("DELETE", f"{path}?reason=wrong+day") for path in (by_job, by_request)]


def test_status_shows_every_part_of_the_answer(intake: FakeIntake, say: Say) -> None:
    intake.body = {
        "version": "0.1.0",
        "queues": {"fetch": {"critical": 0, "high": 7}},
        "dead_letters": 3,
        "services": {"fetcher": [{"instance": "a", "busy": 1}, {"instance": "b", "busy": None}]},
    }
    lines = [line.split() for line in say("status")[1].splitlines()]
    for line in (
        ["version", "dead", "letters"],
        ["0.1.0", "3"],
        ["critical", "high"],
        ["fetch", "0", "7"],
        ["instance", "busy"],
        ["fetcher", "a", "1"],
        ["fetcher", "b", "null"],
    ):
        assert line in lines


def test_the_key_is_sent_and_never_printed(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEXLAKE_API_KEY", "top-secret")
    intake.status, intake.body = 401, {"error": {"message": "a valid API key is needed"}}
    status, out, err = say("jobs")
    assert intake.authorization == "Bearer top-secret"
    assert (status, out) == (1, "")
    assert "does not accept the API key in GEXLAKE_API_KEY" in err
    assert "top-secret" not in err


def one_line(err: str) -> str:
    assert err.count("\n") == 1
    assert err.startswith("gexlake: ")
    return err


def test_a_missing_key_says_which_setting_to_set(intake: FakeIntake, say: Say) -> None:
    intake.status, intake.body = 401, {"error": {"message": "a valid API key is needed"}}
    status, _, err = say("jobs")
    assert status == 1
    assert "set GEXLAKE_API_KEY" in one_line(err)


@pytest.mark.parametrize("status", [404, 422, 429, 503])
def test_a_refusal_is_intakes_own_words(intake: FakeIntake, say: Say, status: int) -> None:
    intake.status = status
    intake.body = {"error": {"field": "url", "rule": "scheme", "message": "url: the scheme is 'ftp'"}}
    assert say("submit", SECRET_URL) == (1, "", "gexlake: url: the scheme is 'ftp'\n")


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (502, "<html>"), (200, [1]), (500, {})])
def test_something_else_on_that_port_is_recognised(
    intake: FakeIntake, say: Say, status: int, body: Any
) -> None:
    intake.status, intake.body = status, body
    ended, out, err = say("job", ID)
    assert (ended, out) == (1, "")
    assert "is GEXLAKE_URL right?" in one_line(err)


def test_intake_that_is_not_there_says_what_to_start(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("GEXLAKE_PORT", str(port))
    status, _, err = say("jobs")
    assert status == 1
    assert f"intake does not answer at http://127.0.0.1:{port}" in one_line(err)
    assert "make run" in err


def test_a_proxy_of_the_environment_is_not_asked_for_the_loopback(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    intake.body = page_of()
    assert say("jobs")[0] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("GEXLAKE_URL", "nonsense"), ("GEXLAKE_URL", "http://[half"), ("GEXLAKE_PORT", "abc")],
)
def test_an_unusable_setting_is_named(
    say: Say, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    status, _, err = say("jobs")
    assert status == 1
    assert name in one_line(err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "--limit", "many"),
        ("jobs", "--status", "lost"),
        ("fly",),
        ("sql",),
        ("sql", " "),
        ("submit",),
    ],
)
def test_a_wrong_usage_ends_with_status_2(say: Say, arguments: tuple[str, ...]) -> None:
    status, out, err = say(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: gexlake")


def test_the_version_is_printed(say: Say) -> None:
    status, out, _ = say("--version")
    assert status == 0
    assert out.startswith("gexlake 0.")
