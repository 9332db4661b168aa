"""Following a job: until it is finished, across a restart of intake, and told in lines or bars."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from rich.console import Console

from gexlake.api.jobs import JobView, Status
from gexlake.cli.answers import read_job
from gexlake.cli.errors import CommandFailed, IntakeUnreachable, RequestRefused, UnexpectedAnswer
from gexlake.cli.following.watch import POLL_S, UNREACHABLE_LIMIT_S, follow, shown_on, summary
from tests.support.gexlake.responses import job_of

ID = "6f2f5b1e-0000-5000-8000-000000000000"
AT = {
    "pending": "2025-11-14T21:00:00Z",
    "started": "2025-11-14T21:00:01Z",
    "staged": "2025-11-14T21:00:03.500000Z",
    "completed": "2025-11-14T21:00:07Z",
    "failed": "2025-11-14T21:00:07Z",
    "skipped": "2025-11-14T21:00:07Z",
}
AWAY = IntakeUnreachable("http://127.0.0.1:8877", "refused")


def answer(*states: str, **changes: Any) -> JobView:
    """Return a job that came to these states, the last one now."""
    transitions = [{"state": state, "at": AT[state]} for state in states]
    return read_job(job_of(id=ID, state=states[-1], transitions=transitions, **changes))


DONE = answer("pending", "started", "staged", "completed", snapshots=23_400, strike_rows=2_340_000)


class Clock:
    """Time that passes only while following pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def looks(script: Iterable[JobView | CommandFailed]) -> Callable[[], JobView]:
    left = iter(script)

    def look() -> JobView:
        seen = next(left)
        if isinstance(seen, CommandFailed):
            raise seen
        return seen

    return look


def followed(*script: JobView | CommandFailed) -> tuple[JobView, list[Status]]:
    shown: list[Status] = []
    clock = Clock()
    ended = follow(looks(script), lambda job: shown.append(job.state), clock.pause, clock)
    return ended, shown


def test_a_stage_takes_no_less_than_no_time_though_clocks_differ() -> None:
    pending, started = {"state": "pending", "at": AT["started"]}, {"state": "started", "at": AT["pending"]}
    job = read_job(job_of(state="started", transitions=[pending, started]))
    assert job.seconds == {"wait": 0.0}


def test_a_job_is_followed_until_it_is_finished() -> None:
    ended, shown = followed(answer("pending"), answer("pending", "started"), DONE, answer("pending"))
    assert ended is DONE
    assert shown == [Status.PENDING, Status.STARTED, Status.COMPLETED]


@pytest.mark.parametrize("away", [AWAY, RequestRefused(503, "rebuilding"), RequestRefused(429, "too many")])
def test_intake_may_be_away_for_a_while(away: CommandFailed) -> None:
    ended, _ = followed(answer("pending"), away, away, DONE)
    assert ended is DONE


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.0, 0.5), (0.1, 0.5), (0.5, 2.0), (60.0, 5.0)])
def test_the_longer_a_look_takes_the_longer_is_the_pause(took_s: float, pause_s: float) -> None:
    clock = Clock()
    paused: list[float] = []
    seen = looks([answer("pending"), answer("pending"), DONE])

    def look() -> JobView:
        clock.pause(took_s)
        return seen()

    follow(look, lambda _: None, paused.append, clock, poll_s=0.5)
    assert paused == [pause_s] * 2


def test_intake_that_stays_away_ends_it_with_its_error() -> None:
    clock = Clock()
    with pytest.raises(IntakeUnreachable):
        follow(looks([answer("pending"), *[AWAY] * 1000]), lambda _: None, pause=clock.pause, clock=clock)
    assert UNREACHABLE_LIMIT_S < clock.now < UNREACHABLE_LIMIT_S + 2 * POLL_S


def test_an_unreachable_intake_is_reported_at_the_first_look() -> None:
    with pytest.raises(IntakeUnreachable):
        followed(AWAY, DONE)


def test_an_unknown_job_is_reported_at_once() -> None:
    with pytest.raises(RequestRefused, match="no job"):
        followed(answer("pending"), RequestRefused(404, "there is no job"), DONE)


def test_without_a_terminal_every_state_is_one_line() -> None:
    out = io.StringIO()
    with shown_on(Console(file=out, width=200)) as show:
        show(answer("pending"))
        show(answer("pending", "started"))
        show(answer("pending", "started", bytes_fetched=5))
        show(answer("pending", "started", "staged", "completed", bytes_fetched=148_861_861))
    assert out.getvalue().splitlines() == [
        "21:00:00 pending",
        "21:00:01 started",
        "21:00:03 staged 148.9 MB",
        "21:00:07 completed",
    ]


def test_a_replay_that_starts_while_following_is_shown_again() -> None:
    out = io.StringIO()
    with shown_on(Console(file=out, width=200)) as show:
        show(answer("pending", "started", generation=1))
        show(answer("pending", "started", generation=2))
    assert len(out.getvalue().splitlines()) == 4


def test_on_a_terminal_the_bars_of_both_stages_end_full() -> None:
    out = io.StringIO()
    with shown_on(Console(file=out, width=120, force_terminal=True)) as show:
        show(answer("pending"))
        show(answer("pending", "started", bytes_fetched=50_000_000, bytes_expected=150_000_000))
        show(answer("pending", "started", "staged", bytes_fetched=150_000_000))
        show(answer("pending", "started", "staged", "completed", bytes_fetched=150_000_000))
    last = out.getvalue().rpartition("fetch")[2]
    assert last.count("150.0/150.0 MB") == 2


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (DONE, "completed: 23,400 snapshots, 2,340,000 strike rows (wait 1.0 s, fetch 2.5 s, import 3.5 s)"),
        (
            answer("pending", "started", "completed", counts={"bars": 8190}),
            "completed: 8,190 bars (wait 1.0 s, fetch 6.0 s)",
        ),
        (answer("pending", "skipped"), "skipped: the lake already holds this very file"),
        (answer("pending", "completed", skipped=True), "completed: the lake already holds this very file"),
        (
            answer("pending", "skipped", no_data=True, reason="the vendor has none"),
            "no data: the vendor has none",
        ),
        (answer("pending", "failed", error="record 3 has no spot"), "failed: record 3 has no spot"),
    ],
)
def test_the_summary_says_how_it_ended(job: JobView, words: str) -> None:
    assert summary(job) == words


def test_a_day_without_data_is_finished_and_the_lake_holds_nothing_of_it() -> None:
    job = answer("pending", "skipped", no_data=True)
    assert (job.is_finished, job.succeeded) == (True, False)


def test_an_answer_that_is_no_job_is_an_error_of_ours() -> None:
    with pytest.raises(UnexpectedAnswer, match="state"):
        read_job(job_of(state="on holiday"))
