"""Follow jobs to their end, and show one: a live bar on a terminal, a line for each state elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Final, Protocol, TypeVar

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from gexlake.api.jobs import JobView, Stage, Status
from gexlake.cli.answers import counts_of, skip_reason
from gexlake.cli.errors import IntakeUnreachable, RequestRefused

POLL_S: Final = 0.2
UNREACHABLE_LIMIT_S: Final = 30.0
"""How long intake may be unreachable, for a restart, before following a job fails."""

_PAUSE_PER_LOOK: Final = 4.0
"""The pause is this many times the duration of the last look, to limit the load on intake."""
_MAX_PAUSE_S: Final = 5.0
_BUSY: Final = frozenset({429, 503})
Show = Callable[[JobView], None]


class Followed(Protocol):
    """Something that finishes: one job, or several."""

    @property
    def is_finished(self) -> bool:
        """Whether looking again would show nothing new."""
        ...


F = TypeVar("F", bound=Followed)


def follow(
    look: Callable[[], F],
    show: Callable[[F], None],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    poll_s: float = POLL_S,
) -> F:
    """Look at something and show it until it is finished; return it as it is then.

    The pause between two looks is ``poll_s``, or longer when looking takes long.

    Raises:
        CommandFailed: the first look failed, or intake stayed unreachable.
    """
    seen, took_s, seen_at = _timed(look, clock)
    show(seen)
    while not seen.is_finished:
        pause(max(poll_s, min(took_s * _PAUSE_PER_LOOK, _MAX_PAUSE_S)))
        try:
            seen, took_s, seen_at = _timed(look, clock)
        except (IntakeUnreachable, RequestRefused) as error:
            is_refusal = isinstance(error, RequestRefused) and error.status not in _BUSY
            if is_refusal or clock() - seen_at > UNREACHABLE_LIMIT_S:
                raise
        show(seen)
    return seen


def _timed(look: Callable[[], F], clock: Callable[[], float]) -> tuple[F, float, float]:
    """Return what a look shows, how many seconds it took, and when it was over."""
    began = clock()
    seen, ended = look(), clock()
    return seen, ended - began, ended


@contextmanager
def shown_on(console: Console) -> Iterator[Show]:
    """Yield what shows a job on a console, in the form that suits it."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description:<7}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


def summary(job: JobView) -> str:
    """Say in one line how a job ended."""
    match job.state:
        case Status.COMPLETED if job.skipped:
            return f"completed: {skip_reason(job)}"
        case Status.COMPLETED:
            took = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in job.seconds.items())
            return f"completed: {counts_of(job)} ({took})"
        case Status.SKIPPED if job.no_data:
            return f"no data: {skip_reason(job)}"
        case Status.SKIPPED:
            return f"skipped: {skip_reason(job)}"
        case Status.FAILED | Status.CANCELLED:
            return f"{job.state}: {job.error or job.reason or 'no reason was given'}"
        case _:
            return str(job.state)


class _Bars:
    """One bar for the fetch, one for the import."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars = {
            Stage.FETCH: progress.add_task("fetch", total=None, start=False),
            Stage.IMPORT: progress.add_task("import", total=None, start=False, visible=False),
        }
        self._started: set[Stage] = set()

    def __call__(self, job: JobView) -> None:
        is_staged = job.state is Status.STAGED or (job.succeeded and job.has_file)
        if job.state is not Status.PENDING:
            self._show(Stage.FETCH, job.bytes_fetched or 0, job.bytes_expected)
        if is_staged:
            self._progress.stop_task(self._bars[Stage.FETCH])
            reported = job.progress if job.progress and job.progress.stage is Stage.IMPORT else None
            size = job.bytes_fetched or 0
            # While the importer reports no progress, the bar moves without an end.
            done = size if job.succeeded else reported.done_bytes if reported else 0
            total = size if job.succeeded else reported.total_bytes if reported else None
            self._show(Stage.IMPORT, done, total)

    def _show(self, stage: Stage, done: int, total: int | None) -> None:
        bar = self._bars[stage]
        if stage not in self._started:
            self._started.add(stage)
            self._progress.start_task(bar)
        self._progress.update(bar, completed=done, total=total, visible=True)


class _Lines:
    """A line for every state that the job comes to."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: set[tuple[int, Status]] = set()

    def __call__(self, job: JobView) -> None:
        for step in job.transitions:
            if (job.generation, step.state) not in self._shown:
                self._shown.add((job.generation, step.state))
                size = f" {decimal(job.bytes_fetched or 0)}" if step.state is Status.STAGED else ""
                self._console.print(f"{step.at.astimezone(UTC):%H:%M:%S} {step.state}{size}")
