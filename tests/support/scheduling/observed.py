"""A simulation as intake sees it: each step changes the state of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gexlake.api.jobs import Stage, Status
from services.intake.queue.estimates import Estimates
from services.intake.queue.work_queue import WorkQueue
from services.intake.state.sources.view import KnownSources
from shared.bus.messages import Job
from shared.job_states import JobState, Transition
from tests.support.scheduling.consumer import SimulatedJob
from tests.support.scheduling.simulation import Simulation, Step
from tests.support.values import NOON


@dataclass(frozen=True)
class SimulatedFile:
    """What a simulated job brings in."""

    job: Job
    size_bytes: int
    strike_rows: int


@dataclass
class EstimatedRun:
    """Runs jobs, and estimates each when it is requested.

    Args:
        jobs: in the order of their requests.
        files: of each job, by its number.
        fetchers: slots of the fetch stage.
    """

    jobs: Sequence[SimulatedJob]
    files: Mapping[int, SimulatedFile]
    fetchers: int
    estimated_s: dict[int, float] = field(default_factory=dict)
    """By the job's number, once it ran."""

    def __post_init__(self) -> None:
        self._states: dict[int, JobState] = {}
        self._queue = WorkQueue()
        self._estimates = Estimates(self._queue, KnownSources(), self._now)
        self._simulation = Simulation(self.jobs, fetchers=self.fetchers, importers=1, observe=self._observe)

    def run(self) -> None:
        """Run until nothing is left to do."""
        self._simulation.run()

    def _now(self) -> datetime:
        return NOON + timedelta(seconds=self._simulation.now_s)

    def _observe(self, step: Step, job: SimulatedJob) -> None:
        if step is Step.REQUESTED:
            self._estimate(job)
        before = self._states.get(job.number)
        self._states[job.number] = after = self._after(step, self.files[job.number], before)
        self._queue.changed(before, after)
        self._estimates.changed(before, after)

    def _estimate(self, job: SimulatedJob) -> None:
        described = self.files[job.number].job
        estimate = self._estimates.of(
            described.ticker,
            described.endpoint,
            described.base_url,
            described.priority,
            described.deadline,
        )
        self.estimated_s[job.number] = estimate.seconds

    def _after(self, step: Step, file: SimulatedFile, state: JobState | None) -> JobState:
        now = self._now()
        if state is None:
            stale = frozenset({Stage.IMPORT})
            return JobState(file.job, Status.PENDING, Stage.FETCH, now, now, stale_commands=stale)
        state = replace(state, updated_at=now)
        match step:
            case Step.FETCHED:
                status, size = Status.STAGED, file.size_bytes
                state = replace(state, status=status, stage=Stage.IMPORT, is_running=False, size_bytes=size)
                return replace(state, stale_commands=frozenset(), transitions=(Transition(status, now),))
            case Step.IMPORTED:
                done = replace(state, status=Status.COMPLETED, is_running=False, snapshots=0)
                return replace(done, strike_rows=file.strike_rows)
            case _:
                started_at = state.started_at or now
                return replace(state, is_running=True, attempts=1, started_at=started_at)
