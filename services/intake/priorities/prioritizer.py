"""Score a client's demand for a file, and say by when it will be met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from gexlake.api.jobs import Priority, Stage, deadline_after
from services.intake.market_days import early_close, why_closed
from services.intake.priorities.facts import Demand, Surroundings, facts_of
from services.intake.priorities.overrides import overridden
from services.intake.priorities.rules import KnownRules
from services.intake.priorities.scoring import Thresholds
from services.intake.queue.estimates import Estimates
from services.intake.queue.work_queue import WorkQueue, due_of
from services.intake.state.sources.view import KnownSources
from shared.bus.messages import Job
from shared.bus.requests import Override, PriorityRequest
from shared.gexbot.trading_day import NEW_YORK
from shared.job_states import JobState
from shared.sources.record import origin_of


@dataclass(frozen=True)
class Choice:
    """A level or a score that a client chooses, whatever the rules decide."""

    priority: Priority | float
    reason: str | None
    client: str | None
    """Which, without its key."""


class Prioritizer:
    """Gives requests their priority.

    Args:
        rules: decide the score.
        thresholds: decide the level.
        sources: whose reliability the rules may read.
        queue: whose depth the rules may read.
        estimates: say how long it takes.
        clock: the present moment.
    """

    def __init__(
        self,
        rules: KnownRules,
        thresholds: Thresholds,
        sources: KnownSources,
        queue: WorkQueue,
        estimates: Estimates,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._thresholds = thresholds
        self._sources = sources
        self._queue = queue
        self._estimates = estimates
        self._clock = clock

    def surroundings(self, url: str) -> Surroundings:
        """Return what is known now, apart from a request for a URL."""
        now, origin = self._clock(), origin_of(url)
        today = now.astimezone(NEW_YORK).date()
        records = (record for record in self._sources.records if record.base_url == origin)
        return Surroundings(
            now=now,
            source=next(records, None),
            is_trading_day=why_closed(today) is None,
            closes_early=early_close(today) is not None,
            queue_depth=self._queue.depth,
        )

    def request_of(self, demand: Demand) -> PriorityRequest:
        """Return a new request: as the rules decide, or with the priority that the client named.

        Raises:
            NotReady: intake does not know yet which rules there are.
        """
        self._rules.require_read()
        around, origin = self.surroundings(demand.source_url), demand.origin
        scored = self._rules.score(facts_of(demand, around))
        level = self._thresholds.level(scored.score)
        request = PriorityRequest(
            request_id=uuid4(),
            channel=origin.channel,
            submitted_at=around.now,
            requested_at=origin.requested_at or around.now,
            source_url=demand.source_url,
            data_type=origin.data_type,
            market_symbol=demand.market_symbol,
            metadata=dict(origin.metadata),
            priority_score=scored.score,
            priority_level=level,
            decided_by=tuple(rule.name for rule in scored.deciding),
            deadline=deadline_after(level, around.now),
        )
        if demand.priority is None:
            return request
        choice = Choice(demand.priority, origin.reason, origin.client)
        return self.overridden(request, choice, around.now)

    def overridden(self, request: PriorityRequest, choice: Choice, at: datetime) -> PriorityRequest:
        """Return a request with the level or the score that a client chose; the other one follows from it."""
        if isinstance(choice.priority, Priority):
            level = choice.priority
            score = self._thresholds.nearest(request.priority_score, level)
        else:
            level, score = self._thresholds.level(choice.priority), choice.priority
        override = Override(
            priority_level=level, priority_score=score, reason=choice.reason, by=choice.client, at=at
        )
        return overridden(request, override)

    def estimated(
        self, request: PriorityRequest, ticker: str, endpoint: str, queued: Job | None = None
    ) -> PriorityRequest:
        """Return a request with the time that it will take, and its place in the queue.

        Args:
            request: the request.
            ticker: of the file.
            endpoint: of the file.
            queued: its job, if that is in the queue already.
        """
        due = due_of(queued) if queued else request.deadline
        estimate = self._estimates.of(ticker, endpoint, request.source_url, request.priority_level, due)
        waited_s = max(0.0, (self._clock() - request.submitted_at).total_seconds())
        update = {"estimated_s": waited_s + estimate.seconds, "queue_position": estimate.queue_position}
        return request.model_copy(update=update)

    def expected_at(self, state: JobState) -> datetime | None:
        """Return when an unfinished job will probably end; None of a finished one.

        That is estimated again while the job waits to be fetched; then it is what the client was told.
        """
        job, request, now = state.job, state.request, self._clock()
        if state.is_finished:
            return None
        if request is not None and (state.is_running or state.stage is Stage.IMPORT):
            return max(now, request.submitted_at + timedelta(seconds=request.estimated_s or 0.0))
        estimate = self._estimates.of(job.ticker, job.endpoint, job.base_url, job.priority, due_of(job))
        return now + timedelta(seconds=estimate.seconds)
