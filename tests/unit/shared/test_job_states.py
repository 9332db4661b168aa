"""The state of a job, computed from its events."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Stage
from shared.bus.messages import (
    Event,
    FileStaged,
    Job,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobSkipped,
    JobStarted,
    NoData,
    PartitionImported,
)
from shared.job_states import JobState, advance
from tests.support.values import REQUEST_ID, a_job, a_request, a_skip

START = datetime(2025, 11, 14, 21, 0, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64
PATH = "NQ_NDX/gex_zero/2025-11-14_NQ_NDX_classic_gex_zero.json"
Events = list[tuple[Event, datetime]]


def requested(job: Job, seq: int = 1) -> JobRequested:
    return JobRequested(job=job, command_seq=seq, url_sha256="c" * 64)


def started(job: Job, stage: Stage, start: int = 1) -> JobStarted:
    return JobStarted(job=job, stage=stage, start=start)


def staged(job: Job, seq: int = 2, size_bytes: int = 10) -> FileStaged:
    return FileStaged(job=job, staged_path=PATH, size_bytes=size_bytes, sha256=NEW, command_seq=seq)


def imported(job: Job, **changes: Any) -> PartitionImported:
    values: dict[str, Any] = {
        "job": job,
        "trading_day": date(2025, 11, 14),
        "sha256": NEW,
        "snapshots": 3,
        "strike_rows": 30,
        "parquet_path": "NQ_NDX/gex_zero/20251114.strikes.parquet",
        "parquet_bytes": 5,
        "parquet_sha256": "d" * 64,
        **changes,
    }
    return PartitionImported(**values)


def skipped(job: Job) -> JobSkipped:
    return a_skip(job, sha256=NEW)


def no_data(job: Job) -> NoData:
    return NoData(job=job, reason="the vendor has none")


def failed(job: Job, stage: Stage, failures: int = 1, *, final: bool = False) -> JobFailed:
    letter = 7 if final else None
    return JobFailed(
        job=job,
        stage=stage,
        failures=failures,
        final=final,
        error="no",
        field="timestamp",
        dead_letter_seq=letter,
    )


def deferred(job: Job, failures: int, waits: int) -> JobFailed:
    return JobFailed(
        job=job, stage=Stage.IMPORT, failures=failures, waits=waits, final=False, error=f"full: {waits}"
    )


def replayed(job: Job, stage: Stage, seq: int) -> JobReplayed:
    return JobReplayed(job=job, stage=stage, replay_of="job", command_seq=seq)


def in_order(*events: Event) -> Events:
    return [(event, START + timedelta(seconds=number)) for number, event in enumerate(events)]


def state_after(events: Events) -> JobState:
    state = None
    for event, at in events:
        state = advance(state, event, at)
    assert state is not None
    return state


def statuses(state: JobState) -> list[str]:
    return [str(transition.state) for transition in state.transitions]


ONE, TWO = a_job(generation=1), a_job(generation=2, requested_at=START + timedelta(hours=1))
MAIN = (
    requested(ONE),
    started(ONE, Stage.FETCH),
    staged(ONE),
    started(ONE, Stage.IMPORT),
    imported(ONE, replaced_sha256=OLD),
)
TROUBLED = (
    requested(ONE),
    started(ONE, Stage.FETCH, 1),
    failed(ONE, Stage.FETCH, 1),
    started(ONE, Stage.FETCH, 2),
    failed(ONE, Stage.FETCH, 2),
    started(ONE, Stage.FETCH, 3),
    staged(ONE),
    started(ONE, Stage.IMPORT, 1),
    failed(ONE, Stage.IMPORT, 1),
    started(ONE, Stage.IMPORT, 2),
)
STORIES: dict[str, tuple[Event, ...]] = {
    "imported": MAIN,
    "skipped": (*MAIN[:4], skipped(ONE)),
    "waiting": MAIN[:1],
    "staged": MAIN[:3],
    "fetch failed": (*TROUBLED[:6], failed(ONE, Stage.FETCH, 3, final=True)),
    "no data": (*TROUBLED[:6], no_data(ONE)),
    "import going on": TROUBLED,
    "import failed": (
        *TROUBLED,
        failed(ONE, Stage.IMPORT, 2),
        started(ONE, Stage.IMPORT, 3),
        failed(ONE, Stage.IMPORT, 3, final=True),
    ),
    "deferred": (*TROUBLED, deferred(ONE, 1, 1), started(ONE, Stage.IMPORT, 3), deferred(ONE, 1, 2)),
    "imported at the third start": (*TROUBLED, imported(ONE)),
    "asked again": (*MAIN, requested(TWO, 5), started(TWO, Stage.FETCH), staged(TWO, 6, 20), skipped(TWO)),
    "import replayed": (*MAIN, replayed(TWO, Stage.IMPORT, 5), started(TWO, Stage.IMPORT), imported(TWO)),
    "fetch replayed": (
        *TROUBLED,
        failed(ONE, Stage.IMPORT, 2, final=True),
        replayed(TWO, Stage.FETCH, 5),
        started(TWO, Stage.FETCH),
    ),
    "refreshed while it was being fetched": (
        *MAIN[:2],
        requested(TWO, 5),
        staged(ONE, 6),
        imported(ONE),
        started(TWO, Stage.FETCH),
    ),
}
every_story = pytest.mark.parametrize("name", STORIES)


def test_a_job_goes_from_pending_to_completed() -> None:
    state = state_after(in_order(*MAIN))
    assert statuses(state) == ["pending", "started", "staged", "completed"]
    assert [transition.at - START for transition in state.transitions] == [
        timedelta(seconds=seconds) for seconds in (0, 1, 2, 4)
    ]
    assert (state.created_at, state.updated_at) == (START, START + timedelta(seconds=4))
    assert (state.snapshots, state.strike_rows, state.size_bytes) == (3, 30, 10)
    assert (state.sha256, state.replaced_sha256, state.parquet_bytes) == (NEW, OLD, 5)
    assert (state.fetch_command_seq, state.import_command_seq, state.command_seq) == (1, 2, 2)
    assert state.is_finished


def test_an_identical_file_ends_skipped() -> None:
    state = state_after(in_order(*STORIES["skipped"]))
    assert statuses(state) == ["pending", "started", "staged", "skipped"]
    assert (state.snapshots, state.stage, state.is_finished) == (3, Stage.IMPORT, True)


@pytest.mark.parametrize(("own_import", "status"), [(True, "completed"), (False, "skipped")])
def test_a_completed_job_asked_again_stays_completed_if_it_imported_the_file_itself(
    own_import: bool, status: str
) -> None:
    asked_again = STORIES["asked again"][:-1]
    state = state_after(in_order(*asked_again, a_skip(TWO, sha256=NEW, own_import=own_import)))
    assert statuses(state) == ["pending", "started", "staged", status]
    assert (state.skipped, state.snapshots) == (True, 3)


def test_a_day_without_data_ends_skipped_with_its_reason_until_the_next_request() -> None:
    state = state_after(in_order(*STORIES["no data"]))
    assert statuses(state) == ["pending", "started", "skipped"]
    assert (state.stage, state.no_data, state.error) == (Stage.FETCH, "the vendor has none", None)
    again = state_after(in_order(*STORIES["no data"], requested(TWO, 5)))
    assert (again.status, again.no_data) == ("pending", None)


def test_a_job_waits_for_its_fetch_command() -> None:
    state = state_after(in_order(*STORIES["waiting"]))
    assert (state.status, state.stage, state.command_seq, state.attempts) == ("pending", "fetch", 1, 0)


def test_a_staged_job_waits_for_its_import_command() -> None:
    state = state_after(in_order(*STORIES["staged"]))
    assert (state.status, state.stage, state.command_seq) == ("staged", "import", 2)
    assert (state.attempts, state.failures, state.is_finished) == (0, 0, False)


def test_a_failed_attempt_is_recorded_and_the_job_continues() -> None:
    state = state_after(in_order(*TROUBLED[:3]))
    assert (state.status, state.failures, state.error, state.error_field) == (
        "started",
        1,
        "no",
        "timestamp",
    )
    going_on = state_after(in_order(*STORIES["import going on"]))
    assert (going_on.status, going_on.attempts, going_on.failures) == ("staged", 2, 1)


def test_a_deferred_attempt_is_recorded_without_a_failure() -> None:
    state = state_after(in_order(*STORIES["deferred"]))
    assert (state.status, state.failures, state.waits, state.error) == ("staged", 1, 2, "full: 2")
    failed_since = state_after(in_order(*STORIES["deferred"], failed(ONE, Stage.IMPORT, 2)))
    assert (failed_since.failures, failed_since.error) == (2, "no")


@pytest.mark.parametrize(("name", "stage"), [("fetch failed", Stage.FETCH), ("import failed", Stage.IMPORT)])
def test_the_last_failure_ends_the_job_with_its_dead_letter(name: str, stage: Stage) -> None:
    state = state_after(in_order(*STORIES[name]))
    assert (state.status, state.stage, state.failures, state.dead_letter_seq) == ("failed", stage, 3, 7)
    assert (state.error, state.error_field) == ("no", "timestamp")


def test_a_worker_has_the_job_from_the_start_of_an_attempt_to_its_end() -> None:
    fetching = in_order(requested(ONE), started(ONE, Stage.FETCH))
    assert state_after(fetching).is_running
    assert not state_after(
        in_order(requested(ONE), started(ONE, Stage.FETCH), failed(ONE, Stage.FETCH, 1))
    ).is_running
    assert not state_after(in_order(*STORIES["staged"])).is_running
    assert state_after(in_order(*STORIES["staged"], started(ONE, Stage.IMPORT))).is_running
    assert not state_after(in_order(*MAIN)).is_running


def test_of_two_deliveries_the_later_attempt_goes_on_when_the_earlier_one_fails() -> None:
    both = (requested(ONE), started(ONE, Stage.FETCH, 1), started(ONE, Stage.FETCH, 2))
    first, second = (failed(ONE, Stage.FETCH, start).model_copy(update={"start": start}) for start in (1, 2))
    assert state_after(in_order(*both, first)).is_running
    assert not state_after(in_order(*both, first, second)).is_running


def test_an_attempt_of_an_older_generation_goes_on_until_it_ends() -> None:
    def is_begun(*events: Event) -> bool:
        return state_after(in_order(*events)).is_begun

    fetching = (requested(ONE), started(ONE, Stage.FETCH), requested(TWO, 5))
    assert is_begun(*fetching)
    assert is_begun(*fetching, replayed(ONE.model_copy(update={"generation": 3}), Stage.FETCH, 6))
    assert not is_begun(*fetching, staged(ONE))
    assert not is_begun(*fetching, started(TWO, Stage.FETCH), failed(TWO, Stage.FETCH))
    importing = (requested(ONE), requested(TWO, 5), started(ONE, Stage.IMPORT))
    assert is_begun(*importing, staged(ONE), staged(TWO, 6))
    assert not is_begun(*importing, imported(ONE))


def test_a_cancelled_job_has_ended_until_it_is_requested_again() -> None:
    cancelled = JobCancelled(job=ONE, reason="wrong day")
    state = state_after(in_order(*STORIES["waiting"], cancelled))
    assert (state.status, state.is_finished, state.cancel_reason) == ("cancelled", True, "wrong day")
    assert state.requests_from == state.updated_at > ONE.requested_at
    assert state_after(in_order(*STORIES["waiting"], cancelled, requested(TWO, 5))).status == "pending"


def test_a_request_stays_that_of_its_generations() -> None:
    first, again = a_request(), a_request(request_id=UUID(int=7))
    job = ONE.model_copy(update={"request_id": REQUEST_ID})
    next_job = TWO.model_copy(update={"request_id": again.request_id})
    asked = requested(job).model_copy(update={"request": first})
    assert state_after(in_order(asked, started(job, Stage.FETCH))).request == first
    replay = replayed(job.model_copy(update={"generation": 2}), Stage.FETCH, 5)
    assert state_after(in_order(asked, replay)).request == first
    newer = requested(next_job, 5).model_copy(update={"request": again})
    assert state_after(in_order(asked, newer)).request == again
    assert state_after(in_order(asked, started(next_job, Stage.FETCH))).request is None  # its event is late


def test_success_clears_earlier_errors() -> None:
    state = state_after(in_order(*STORIES["imported at the third start"]))
    assert (state.status, state.error, state.error_field) == ("completed", None, None)


def test_a_job_requested_again_starts_over_and_keeps_its_creation_time() -> None:
    state = state_after(in_order(*MAIN, requested(TWO, 5)))
    assert (state.status, state.job.generation, state.fetch_command_seq) == ("pending", 2, 5)
    assert statuses(state) == ["pending"]
    assert (state.created_at, state.updated_at) == (START, START + timedelta(seconds=5))
    assert (state.snapshots, state.staged_path) == (None, PATH)


def test_a_replayed_import_starts_at_its_stage() -> None:
    state = state_after(in_order(*MAIN, replayed(TWO, Stage.IMPORT, 5)))
    assert (state.status, state.stage, state.command_seq, state.replay_of) == ("staged", "import", 5, "job")


def test_a_replayed_fetch_starts_at_the_beginning() -> None:
    state = state_after(in_order(*MAIN, replayed(TWO, Stage.FETCH, 5)))
    assert (state.status, state.stage, state.command_seq) == ("pending", "fetch", 5)


def test_force_is_that_of_the_newest_generation() -> None:
    reason = {"force": True, "reason": "the vendor corrected the day"}
    forced = requested(ONE).model_copy(update=reason)
    assert (state_after(in_order(forced)).force, state_after(in_order(forced)).reason) == (
        True,
        reason["reason"],
    )
    assert not state_after(in_order(forced, imported(ONE), requested(TWO))).force
    again = replayed(TWO, Stage.IMPORT, 5).model_copy(update=reason)
    assert state_after(in_order(*MAIN, again)).reason == reason["reason"]


def test_events_of_an_older_generation_change_nothing() -> None:
    state = state_after(in_order(*STORIES["refreshed while it was being fetched"]))
    assert (state.status, state.job.generation, state.snapshots) == ("started", 2, None)


@pytest.mark.parametrize("generation", [1, 5])
def test_a_restarted_generation_counter_is_a_new_request(generation: int) -> None:
    forgotten = a_job(generation=generation, requested_at=START)
    again = a_job(generation=1, requested_at=START + timedelta(days=40))
    before = in_order(*(event.model_copy(update={"job": forgotten}) for event in MAIN))
    later = START + timedelta(days=40)
    state = state_after([*before, (requested(again, 9), later), (started(again, Stage.FETCH), later)])
    assert (state.status, state.job, state.fetch_command_seq) == ("started", again, 9)
    assert state_after([*before, (requested(again, 9), later), *before]).job == again


def test_an_import_that_starts_before_the_staged_event_does_not_go_back() -> None:
    events = in_order(*MAIN[:2], started(ONE, Stage.IMPORT), staged(ONE))
    state = state_after(events)
    assert (state.status, state.stage, state.attempts, state.command_seq) == ("staged", "import", 1, 2)
    done = state_after([*events[:3], (imported(ONE), START), events[3]])
    assert (done.status, done.size_bytes, done.staged_path, done.import_command_seq) == (
        "completed",
        10,
        PATH,
        2,
    )


def test_a_fetch_that_fails_after_its_file_was_staged_is_late() -> None:
    state = state_after(in_order(*MAIN[:3], failed(ONE, Stage.FETCH, 1, final=True)))
    assert (state.status, state.stage, state.error) == ("staged", "import", None)


@every_story
@given(data=st.data())
def test_a_repeated_or_late_event_changes_nothing(name: str, data: st.DataObject) -> None:
    events = in_order(*STORIES[name])
    state = state_after(events)
    for event, at in data.draw(st.lists(st.sampled_from(events), max_size=20)):
        assert advance(state, event, at) == state


@pytest.mark.parametrize(
    "name", ["imported", "skipped", "no data", "fetch failed", "import failed", "imported at the third start"]
)
@given(data=st.data())
def test_the_order_of_events_does_not_change_the_outcome(name: str, data: st.DataObject) -> None:
    events = in_order(*STORIES[name])
    twice = data.draw(st.lists(st.sampled_from(events), max_size=5))
    shuffled = data.draw(st.permutations([*events, *twice]))
    assert ending(state_after(shuffled)) == ending(state_after(events))


def ending(state: JobState) -> tuple[object, ...]:
    """What is promised whatever the order: how the job ended, and what it brought."""
    brought = (
        state.no_data,
        state.sha256,
        state.snapshots,
        state.strike_rows,
        state.parquet_path,
        state.size_bytes,
    )
    return (
        state.job,
        state.status,
        state.stage,
        state.error,
        state.dead_letter_seq,
        state.command_seq,
        brought,
    )


@pytest.mark.parametrize("name", ["asked again", "import replayed", "fetch replayed"])
@given(data=st.data())
def test_the_newest_generation_wins_in_any_order_of_events(name: str, data: st.DataObject) -> None:
    events = in_order(*STORIES[name])
    shuffled = data.draw(st.permutations(events))
    wanted, found = state_after(events), state_after(shuffled)
    assert (found.job, found.status) == (wanted.job, wanted.status)


@every_story
def test_the_time_of_the_last_change_never_goes_back(name: str) -> None:
    state, last = None, START
    for event, at in in_order(*STORIES[name]):
        state = advance(state, event, at)
        assert last <= state.updated_at <= at
        last = state.updated_at
