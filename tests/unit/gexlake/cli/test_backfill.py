"""``gexlake backfill``: what is asked, how it is followed, what is printed, how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console, RenderableType

from gexlake.api.backfill import BackfillView
from gexlake.cli.answers import read_job
from gexlake.cli.backfill import command
from gexlake.cli.backfill.days import (
    Backfilled,
    Ended,
    Outcome,
    PlanJobs,
    Trouble,
    how_it_ended,
    read_plan,
)
from gexlake.cli.backfill.view import STANDSTILL_S, outcome_shown, plan_shown, shown_on
from gexlake.cli.errors import RequestRefused, UnexpectedAnswer
from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake
from tests.support.gexlake.responses import id_of, job_of, page_of

WEEK = ("NQ_NDX", "gex_zero", "2025-11-10", "2025-11-14")


def day(number: int, standing: str = "queued", **changes: Any) -> dict[str, Any]:
    named = {"ticker": "NQ_NDX", "endpoint": "gex_zero", "trading_day": f"2025-11-{number}"}
    job_id = id_of(number) if standing in {"planned", "queued", "under_way"} else None
    return {**named, "standing": standing, "id": job_id, **changes}


def an_answer(*days: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "dry_run": False,
        "counts": {},
        "days": days,
        "closed": [],
        "early_closes": [],
        "warnings": [],
        **more,
    }


def job(number: int, state: str, **changes: Any) -> dict[str, Any]:
    return job_of(id=id_of(number), state=state, trading_day=f"2025-11-{number}", **changes)


ANSWER = an_answer(
    day(10), day(11, "held"), day(12, "no_data"), day(13, "under_way"), day(14), warnings=["be patient"]
)
RUNNING = page_of(job(14, "started"), job(13, "staged"), job(10, "completed"))
ENDED = page_of(
    job(14, "failed", error="the API key was rejected"),
    job(13, "skipped", no_data=True, reason="the vendor has none for 2025-11-13"),
    job(10, "completed"),
)


def shown(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(what)
    return out.getvalue()


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    monkeypatch.setattr(command, "POLL_S", 0.001)
    with fake_intake() as fake:
        fake.bodies = {"/backfill": [ANSWER], "/jobs": [RUNNING, RUNNING, ENDED]}
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_the_days_are_followed_to_their_end_and_a_failed_one_shows_in_the_exit_status(
    intake: FakeIntake, say: Say
) -> None:
    status, out, err = say("backfill", *WEEK)
    assert (status, err) == (1, "")
    assert intake.asked[0] == (
        "POST",
        "/backfill",
        {
            "tickers": ["NQ_NDX"],
            "endpoints": ["gex_zero"],
            "start": "2025-11-10",
            "end": "2025-11-14",
            "dry_run": False,
        },
    )
    assert [path for _, path, _ in intake.asked[1:]] == [
        "/jobs?ticker=NQ_NDX&endpoint=gex_zero&limit=500&offset=0"
    ] * 3
    lines = cells(out)
    assert ["ticker", "endpoint", "days", "queued", "under", "way", "held", "no", "data"] in lines
    assert ["NQ_NDX", "gex_zero", "5", "2", "1", "1", "1"] in lines
    assert "note: be patient" in out
    assert "2025-11-10 NQ_NDX gex_zero imported" in out
    assert ["ticker", "endpoint", "imported", "skipped", "no", "data", "failed"] in lines
    assert ["NQ_NDX", "gex_zero", "1", "1", "2", "1"] in lines
    assert "2025-11-14   the API key was rejected" in out
    assert "2025-11-12   the vendor had none when it was last asked; --force asks again" in out
    assert "2025-11-13   the vendor has none for 2025-11-13" in out


def test_a_backfill_without_a_failure_ends_well(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/backfill"] = [an_answer(day(10), day(11, "held"), day(12, "no_data"))]
    assert say("backfill", *WEEK)[0] == 0


def test_a_dry_run_prints_each_day_with_the_calendar_and_follows_nothing(
    intake: FakeIntake, say: Say
) -> None:
    closed = [{"day": "2025-11-27", "why": "Thanksgiving Day"}]
    early = [{"day": "2025-11-28", "why": "markets close at 1:00pm"}]
    days = (day(26, "planned"), day(28, "planned"))
    intake.bodies["/backfill"] = [an_answer(*days, closed=closed, early_closes=early)]
    status, out, _ = say("backfill", *WEEK, "--dry-run")
    assert status == 0
    assert intake.asked[0][2]["dry_run"] is True
    assert len(intake.asked) == 1
    first, second, third = [line.split() for line in out.splitlines() if line.startswith("2025-11-2")]
    assert first == ["2025-11-26", "NQ_NDX", "gex_zero", "planned"]
    assert second == ["2025-11-27", "closed", "Thanksgiving", "Day"]
    assert third[:4] == ["2025-11-28", "NQ_NDX", "gex_zero", "planned"]
    assert third[4:] == ["markets", "close", "at", "1:00pm"]
    assert ["NQ_NDX", "gex_zero", "2", "2"] in cells(out)


def test_without_waiting_the_plan_is_all(intake: FakeIntake, say: Say) -> None:
    status, out, _ = say("backfill", *WEEK, "--no-wait")
    assert status == 0
    assert len(intake.asked) == 1
    assert ["NQ_NDX", "gex_zero", "5", "2", "1", "1", "1"] in cells(out)


def test_lists_and_options_are_passed_on(intake: FakeIntake, say: Say) -> None:
    options = ("--force", "--reason", "vendor fixed it", "--priority", "high", "--no-wait")
    say("backfill", "NQ_NDX, SPX,", "gex_zero,gex_one", "2025-11-10", "2025-11-14", *options)
    asked = intake.asked[0][2]
    assert (asked["tickers"], asked["endpoints"]) == (["NQ_NDX", "SPX"], ["gex_zero", "gex_one"])
    assert (asked["force"], asked["reason"], asked["priority"]) == (True, "vendor fixed it", "high")


def test_force_needs_a_reason(intake: FakeIntake, say: Say) -> None:
    status, _, err = say("backfill", *WEEK, "--force")
    assert status == 2
    assert "--reason" in err
    assert intake.asked == []


@pytest.mark.parametrize("option", ["--dry-run", "--no-wait"])
@pytest.mark.usefixtures("intake")
def test_a_plan_as_json_is_intake_s_answer(say: Say, option: str) -> None:
    assert json.loads(say("backfill", *WEEK, option, "--json")[1]) == json.loads(json.dumps(ANSWER))


@pytest.mark.usefixtures("intake")
def test_the_end_as_json_has_every_day_s_outcome(say: Say) -> None:
    status, out, err = say("backfill", *WEEK, "--json")
    told = json.loads(out)
    assert status == 1
    assert told["outcomes"] == {
        "imported": 1,
        "skipped": 1,
        "no_data": 2,
        "failed": 1,
        "cancelled": 0,
    }
    assert [each["outcome"] for each in told["days"]] == [
        "imported",
        "skipped",
        "no data",
        "no data",
        "failed",
    ]
    assert told["days"][-1]["why"] == "the API key was rejected"
    assert "imported" in err


def test_interrupted_it_says_that_the_jobs_go_on(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "follow", interrupted)
    status, _, err = say("backfill", *WEEK)
    assert status == 130
    assert "the jobs go on" in err
    assert len(intake.asked) == 1


def test_the_text_of_a_refusal_is_intakes(intake: FakeIntake, say: Say) -> None:
    intake.status = 422
    problem = {"error": {"field": "start", "rule": "range", "message": "start: 3 is after the end"}}
    intake.bodies["/backfill"] = [problem]
    assert say("backfill", *WEEK) == (1, "", "gexlake: start: 3 is after the end\n")


def test_an_answer_that_is_no_plan_is_an_error_of_ours(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/backfill"] = [an_answer(day(10, "on holiday"))]
    status, _, err = say("backfill", *WEEK)
    assert status == 1
    assert "a backfill's days.0.standing" in err


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (job(10, "pending"), None),
        (job(10, "staged"), None),
        (job(10, "completed"), Ended(Outcome.IMPORTED)),
        (job(10, "skipped"), Ended(Outcome.SKIPPED)),
        (job(10, "completed", skipped=True), Ended(Outcome.SKIPPED)),
        (job(10, "skipped", no_data=True, reason="none"), Ended(Outcome.NO_DATA, "none")),
        (job(10, "failed", error="gone"), Ended(Outcome.FAILED, "gone")),
        (job(10, "failed"), Ended(Outcome.FAILED, "no reason was given")),
        (job(10, "cancelled", reason="wrong day"), Ended(Outcome.CANCELLED, "wrong day")),
    ],
)
def test_a_job_tells_what_became_of_its_day(answer: dict[str, Any], ended: Ended | None) -> None:
    assert how_it_ended(read_job(answer)) == ended


def plan_of(*days: dict[str, Any]) -> BackfillView:
    return read_plan(an_answer(*days))


@dataclass
class Asked:
    """Intake as far as jobs go."""

    pages: Callable[[Mapping[str, Any]], dict[str, Any]]
    known: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def jobs(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        return self.pages(filters)

    def job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.known:
            raise RequestRefused(404, "there is no such job")
        return self.known[job_id]


def test_pages_are_turned_until_all_jobs_are_found() -> None:
    pages = [
        page_of(job(14, "completed"), job(20, "failed"), following="more"),
        page_of(job(10, "completed")),
    ]
    asked: list[Any] = []

    def list_jobs(filters: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(filters["offset"])
        return pages[len(asked) - 1]

    done = PlanJobs(plan_of(day(10), day(14)), Asked(list_jobs)).look()
    assert (done.is_finished, asked) == (True, [0, 500])
    assert done.count(Outcome.IMPORTED) == 2


def test_what_is_finished_is_not_asked_for_again() -> None:
    asked: list[str] = []

    def list_jobs(filters: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(filters["ticker"])
        return page_of(job(10, "completed")) if filters["ticker"] == "NQ_NDX" else page_of(job(11, "started"))

    followed = PlanJobs(plan_of(day(10), day(11, ticker="SPX")), Asked(list_jobs))
    assert not followed.look().is_finished
    followed.look()
    assert asked == ["NQ_NDX", "SPX", "SPX"]


def test_a_job_that_intake_has_forgotten_is_not_waited_for() -> None:
    done = PlanJobs(plan_of(day(10)), Asked(lambda _: page_of())).look()
    assert done.is_finished
    assert [ended.outcome for ended in done.ended.values()] == [Outcome.FAILED]


def test_a_job_that_was_replayed_between_two_pages_is_asked_for_by_itself() -> None:
    """It was on the second page, and has come to the first one when that was turned."""
    pages = iter(
        [
            page_of(job(14, "started"), following="more"),
            page_of(),
            page_of(job(10, "completed")),
        ]
    )
    followed = PlanJobs(plan_of(day(10)), Asked(lambda _: next(pages), {id_of(10): job(10, "pending")}))
    assert followed.look().ended == {}
    assert followed.look().count(Outcome.IMPORTED) == 1


def test_an_intake_that_does_not_know_yet_which_jobs_there_are_loses_none() -> None:
    class Rebuilding(Asked):
        def job(self, job_id: str) -> dict[str, Any]:
            raise RequestRefused(503, f"no answer about {job_id} yet")

    with pytest.raises(RequestRefused, match="yet"):
        PlanJobs(plan_of(day(10)), Rebuilding(lambda _: page_of())).look()


def test_a_plan_without_jobs_is_finished_and_asks_nothing() -> None:
    def list_jobs(_: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError

    assert PlanJobs(plan_of(day(11, "held")), Asked(list_jobs)).look().is_finished
    assert "no trading days" in shown(plan_shown(plan_of()))


def test_an_answer_without_a_list_of_jobs_is_an_error_of_ours() -> None:
    with pytest.raises(UnexpectedAnswer, match="a list of jobs's jobs: Field required"):
        PlanJobs(plan_of(day(10)), Asked(lambda _: {})).look()


def test_many_days_with_the_same_end_are_one_line() -> None:
    plan = plan_of(*(day(number) for number in range(10, 20)))
    gone = Ended(Outcome.FAILED, "the API key was rejected")
    text = shown(outcome_shown(Backfilled(plan, dict.fromkeys(plan.days, gone))))
    assert text.count("the API key was rejected") == 1
    assert "2025-11-10 … 2025-11-19 (10 days)" in text


def test_the_reasons_of_missing_days_are_in_the_order_of_the_days() -> None:
    plan = plan_of(*(day(number) for number in (12, 10, 11)))
    ended = {day: Ended(Outcome.FAILED, f"reason {day.trading_day.day}") for day in plan.days}
    text = shown(outcome_shown(Backfilled(plan, ended)))
    assert [row[-1] for row in cells(text) if "reason" in row] == ["10", "11", "12"]


def test_a_range_without_trading_days_ends_in_these_words(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/backfill"] = [an_answer()]
    assert say("backfill", "NQ_NDX", "gex_zero", "2025-11-15", "2025-11-16") == (0, "no trading days\n", "")


def test_a_bar_over_the_days_ends_full_on_a_terminal() -> None:
    plan = plan_of(day(10), day(11))
    first, second = plan.days
    out = io.StringIO()
    with shown_on(Console(file=out, width=100, force_terminal=True), plan) as show:
        show(Backfilled(plan, {first: Ended(Outcome.IMPORTED)}))
        show(Backfilled(plan, {first: Ended(Outcome.IMPORTED), second: Ended(Outcome.FAILED, "gone")}))
    assert "2/2" in out.getvalue()
    assert "1 imported, 1 failed" in out.getvalue()


def test_what_the_last_attempts_came_to_is_known_of_the_days_that_are_not_finished() -> None:
    alone = "https://hist.gex.bot is left alone"
    jobs = (job(10, "started", error=alone), job(11, "started", error=alone), job(12, "started", error="cut"))
    ended = job(13, "failed", error="gone")
    plan = plan_of(*(day(number) for number in range(10, 14)))
    done = PlanJobs(plan, Asked(lambda _: page_of(*jobs, ended))).look()
    assert done.usual_trouble == Trouble(alone, 2)
    assert len(done.troubles) == 3


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_reason_of_waiting_days_is_shown_after_a_while(is_terminal: bool) -> None:
    plan = plan_of(day(10), day(11))
    first, second = plan.days
    now = 0.0
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=is_terminal)
    with shown_on(console, plan, lambda: now) as show:
        show(Backfilled(plan, troubles={first: "the source is [b]left alone", second: "soon over"}))
        now = STANDSTILL_S
        show(Backfilled(plan, {first: Ended(Outcome.IMPORTED)}, {second: "soon over"}))
        now = 2 * STANDSTILL_S
        for why in ("the source is [b]left alone", "the source is [b]left alone", "the disk is full"):
            show(Backfilled(plan, {first: Ended(Outcome.IMPORTED)}, {second: why}))
    text = out.getvalue()
    assert "soon over" not in text
    assert "1 day waits: the disk is full" in text
    if not is_terminal:
        assert text.splitlines()[1:] == [
            "1 day waits: the source is [b]left alone",
            "1 day waits: the disk is full",
        ]


def test_without_a_terminal_a_day_is_one_line_when_it_ends() -> None:
    plan = plan_of(day(10), day(11), day(12, "held"))
    first, second, held = plan.days
    out = io.StringIO()
    ended = {held: Ended(Outcome.SKIPPED)}
    with shown_on(Console(file=out, width=100), plan) as show:
        show(Backfilled(plan, {**ended, second: Ended(Outcome.FAILED, "gone [bold]")}))
        show(
            Backfilled(plan, {**ended, second: Ended(Outcome.FAILED, "gone"), first: Ended(Outcome.IMPORTED)})
        )
    assert out.getvalue().splitlines() == [
        "2025-11-11 NQ_NDX gex_zero failed: gone [bold]",
        "2025-11-10 NQ_NDX gex_zero imported",
    ]
