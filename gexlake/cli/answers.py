"""What intake answers about jobs, as the command line reads it; fields that it does not know are let be."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from gexlake.api.jobs import FINISHED, Stage, Status
from gexlake.cli.errors import UnexpectedAnswer

A = TypeVar("A", bound=BaseModel)


def read_as(kind: type[A], answer: dict[str, Any], what: str) -> A:
    """Read an answer of intake's.

    Args:
        kind: its model.
        answer: the JSON object.
        what: how the error names it.

    Raises:
        UnexpectedAnswer: it is not one.
    """
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UnexpectedAnswer("intake", f"{what}'s {where}: {problem['msg']}") from error


class Step(BaseModel):
    """A state that a job came to, and when (UTC)."""

    state: Status
    at: AwareDatetime


class StageProgress(BaseModel):
    """How far the stage that is being done has come."""

    stage: Stage
    done_bytes: int
    total_bytes: int | None = None


class JobAnswer(BaseModel):
    """One job."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: Status
    ticker: str
    endpoint: str
    generation: int = 1
    trading_day: str | None = None
    transitions: tuple[Step, ...] = ()
    bytes_fetched: int | None = None
    bytes_expected: int | None = None
    progress: StageProgress | None = None
    snapshots: int | None = None
    strike_rows: int | None = None
    checksum: str | None = None
    skipped: bool = False
    no_data: bool = False
    reason: str | None = None
    error: str | None = None
    error_field: str | None = None
    dead_letter_seq: int | None = None
    parquet_path: str | None = None
    parquet_bytes: int | None = None
    requested_at: AwareDatetime | None = None

    @classmethod
    def read(cls, answer: dict[str, Any]) -> JobAnswer:
        """Read a job of intake's.

        Raises:
            UnexpectedAnswer: it is not one.
        """
        return read_as(cls, answer, "a job")

    @property
    def is_finished(self) -> bool:
        """Whether the job is done, well or badly."""
        return self.state in FINISHED

    @property
    def went_well(self) -> bool:
        """Whether the lake holds what the file says."""
        return self.state in {Status.COMPLETED, Status.SKIPPED} and not self.no_data

    @property
    def why_skipped(self) -> str | None:
        """Say why a skipped job brought nothing in; None for the others."""
        if self.state is not Status.SKIPPED:
            return None
        if self.no_data:
            return self.reason or "the vendor has no data for this day"
        return "the lake already holds this very file"

    @property
    def seconds(self) -> dict[str, float]:
        """Return how long each stage took: ``wait``, ``fetch``, ``import`` (those that are over).

        Each service tells the time by its own clock, so a short one could come out below zero.
        """
        at = {step.state: step.at for step in self.transitions}
        done = next((at[state] for state in FINISHED if state in at), None)
        ends = (at.get(Status.PENDING), at.get(Status.STARTED), at.get(Status.STAGED), done)
        return {
            name: max(0.0, (end - start).total_seconds())
            for name, start, end in zip(("wait", "fetch", "import"), ends, ends[1:], strict=False)
            if start is not None and end is not None
        }
