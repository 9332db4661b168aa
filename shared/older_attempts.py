"""Whether a worker still has an older generation of a job: a later request does not stop its attempt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gexlake.api.jobs import Stage
from shared.bus.messages import (
    Event,
    FileStaged,
    JobFailed,
    JobSkipped,
    JobStarted,
    NoData,
    PartitionImported,
    RowsPublished,
)

_ORDER: Final = {Stage.FETCH: 0, Stage.IMPORT: 1}


@dataclass(frozen=True, slots=True)
class OlderAttempt:
    """The last attempt of an older generation."""

    generation: int
    stage: Stage
    start: int
    """Its number in the stage; 0 if there was none."""
    has_ended: bool

    @property
    def _place(self) -> tuple[int, int, int]:
        return self.generation, _ORDER[self.stage], self.start

    def after(self, event: Event) -> OlderAttempt:
        """Return the last attempt after an event of an older generation."""
        generation = event.job.generation
        if isinstance(event, JobStarted):
            started = OlderAttempt(generation, event.stage, event.start, has_ended=False)
            return started if started._place > self._place else self
        if (generation, self.stage) == (self.generation, ended_stage(event)):
            return replace(self, has_ended=True)
        return self

    def after_newer(self, ended: Stage) -> OlderAttempt:
        """Return the attempt after one of the newest generation has ended.

        The importer executes one import at a time. A fetch that finds itself superseded ends without an
        event, and drops what it has downloaded.
        """
        return replace(self, has_ended=True) if _ORDER[ended] >= _ORDER[self.stage] else self


def ended_stage(event: Event) -> Stage | None:
    """Return the stage whose attempt ends with an event; None for any other event."""
    match event:
        case FileStaged() | NoData() | RowsPublished():
            return Stage.FETCH
        case PartitionImported() | JobSkipped():
            return Stage.IMPORT
        case JobFailed():
            return event.stage
        case _:
            return None
