"""Read what intake answers as the models of ``gexlake.api``."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gexlake.api.jobs import JobView
from gexlake.cli.errors import UnexpectedAnswer

A = TypeVar("A", bound=BaseModel)


def read_as(model: type[A], answer: Any, what: str) -> A:
    """Read an answer of intake; fields of a later version are ignored.

    Args:
        model: what it should be.
        answer: the JSON object.
        what: the name of it in the error.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UnexpectedAnswer("intake", f"{what}'s {where}: {problem['msg']}") from error


def read_job(answer: Any) -> JobView:
    """Read one job.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    return read_as(JobView, answer, "a job")


def counts_of(job: JobView) -> str | None:
    """Return what a job brought in, as text; None if it has brought in nothing."""
    counts = job.counts
    if counts is None and job.snapshots is not None:  # of an intake of an older version
        counts = {"snapshots": job.snapshots, "strike_rows": job.strike_rows or 0}
    if counts is None:
        return None
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def skip_reason(job: JobView) -> str | None:
    """Return why a job imported nothing the last time; None for other jobs."""
    if not job.skipped:
        return None
    if job.no_data:
        return job.reason or "the vendor has no data for this day"
    return "the lake already holds this very file"
