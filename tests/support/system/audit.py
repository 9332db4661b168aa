"""The oracle of a run with faults: nothing is lost, doubled or wrong, in any place that keeps something."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from nats.js.errors import NotFoundError

from services.fetcher.download.partial_recovery import STALE_AFTER_S, sweep_tree
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import decode
from shared.bus.messages import JobFailed, JobSkipped, NoData, PartitionImported, Payload
from tests.support.poll import eventually
from tests.support.system.clients import Json
from tests.support.system.oracle import assert_holds_records, assert_parquet_equals_table, query_lake
from tests.support.system.running import System, connection_to
from tests.support.system.workload import Outcome


@dataclass(frozen=True)
class Stored:
    """A message of a stream."""

    msg_id: str
    subject: str
    data: bytes


async def audit(system: System, jobs: dict[str, Json], outcomes: Iterable[Outcome]) -> None:
    """Check every place that keeps something after a run of requests.

    Args:
        system: the system, with every process running.
        jobs: intake's views of all jobs, by id.
        outcomes: what must have become of the requested days.
    """
    expected = list(outcomes)
    _check_jobs(jobs, expected)
    async with connection_to(system.stack) as bus:
        await eventually(lambda: _is_idle(bus), within_s=60, what="the end of all commands")
        await _check_events(bus, jobs)
        await _check_ledger(bus, expected)
        for outcome in expected:
            await assert_holds_records(bus, outcome.day, outcome.records)
        await assert_parquet_equals_table(bus)
    _check_files(system, jobs, expected)


def _check_jobs(jobs: dict[str, Json], outcomes: list[Outcome]) -> None:
    """Every accepted job ended as its file deserves, and there is no other job."""
    ids = {outcome.job_id for outcome in outcomes}
    assert jobs.keys() == ids, jobs.keys() ^ ids
    for outcome in outcomes:
        job = jobs[outcome.job_id]
        assert job["state"] in outcome.states, (outcome.day.file_name, job)
        assert outcome.error in (job["error"] or ""), (outcome.day.file_name, job)


async def _is_idle(bus: Bus) -> bool:
    """Return whether every command has been settled."""
    consumers = await bus.js.consumers_info(subjects.JOBS)
    return all(each.num_pending == each.num_ack_pending == 0 for each in consumers)


async def _check_events(bus: Bus, jobs: dict[str, Json]) -> None:
    """Each message is stored once, each generation has one outcome at most, each dead letter its event."""
    events = await messages(bus, subjects.EVENTS)
    for stream in (subjects.JOBS, subjects.EVENTS, subjects.DEAD):
        ids = Counter(message.msg_id for message in await messages(bus, stream))
        doubled = [msg_id for msg_id, count in ids.items() if count > 1]
        assert doubled == [], f"doubled in {stream}: {doubled}"
    outcomes: dict[tuple[str, int], list[Payload]] = defaultdict(list)
    for message in events:
        event = decode(message.subject, message.data).open(message.subject)
        if _is_outcome(event):
            outcomes[str(event.job.job_id), event.job.generation].append(event)
    several = {key: each for key, each in outcomes.items() if len(each) > 1}
    assert several == {}, several
    without = {(job_id, job["generation"]) for job_id, job in jobs.items()} - outcomes.keys()
    assert without == set(), without
    failed = [each for (each,) in outcomes.values() if isinstance(each, JobFailed)]
    letters = await messages(bus, subjects.DEAD)
    assert len(letters) == len({each.dead_letter_seq for each in failed}) == len(failed), (letters, failed)


def _is_outcome(event: object) -> bool:
    return isinstance(event, PartitionImported | JobSkipped | NoData) or (
        isinstance(event, JobFailed) and event.final
    )


async def _check_ledger(bus: Bus, outcomes: list[Outcome]) -> None:
    """The ledger has one row a job, in the state that the job ended in."""

    async def rows() -> bool:
        seen = await query_lake(bus, "SELECT id, status FROM gex_history_queue")
        assert len(seen) == len({job_id for job_id, _ in seen}), "a job has two rows in the ledger"
        states = {str(job_id): status for job_id, status in seen}
        return all(states.get(outcome.job_id) in outcome.states for outcome in outcomes) and len(
            states
        ) == len(outcomes)

    await eventually(rows, what="the ledger's rows")


def _check_files(system: System, jobs: dict[str, Json], outcomes: list[Outcome]) -> None:
    """There is a Parquet file for every partition and no other, and no file that is not a day's.

    Of a job that was asked for again, a partial file may stay if its fetcher was killed after the newer
    request was done: the fetcher's sweep removes it after a day.
    """
    paths = system.stack.data_dir
    again = [job_id.replace("-", "") for job_id, job in jobs.items() if job["generation"] > 1]
    orphans = [path for path in system.temporary_files() if not any(each in path.name for each in again)]
    assert orphans == [], orphans
    sweep_tree(paths / "source", time.time() + STALE_AFTER_S + 1)
    parquet = {path.name for path in (paths / "parquet").rglob("*") if path.is_file()}
    wanted = {f"{outcome.day.day:%Y%m%d}.strikes.parquet" for outcome in outcomes if outcome.records}
    assert parquet == wanted, parquet ^ wanted
    staged = Counter(path.name for path in (paths / "source").rglob("*") if path.is_file())
    strangers = set(staged) - {outcome.day.file_name for outcome in outcomes}
    assert strangers == set(), strangers
    assert set(staged.values()) <= {1}, staged


async def messages(bus: Bus, stream: str) -> list[Stored]:
    """Return all messages of a stream, without those that only prove that it can be written."""
    state = (await bus.js.stream_info(stream)).state
    found = []
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        try:
            message = await bus.js.get_msg(stream, seq=sequence, direct=True)
        except NotFoundError:
            continue
        subject, headers = message.subject or "", message.headers or {}
        if not subject.startswith("gex.probe."):
            found.append(Stored(headers.get("Nats-Msg-Id", ""), subject, message.data or b""))
    return found
