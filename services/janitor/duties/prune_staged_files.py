"""Duty: remove the staged files of finished jobs once they have been kept long enough.

A file is kept as long as an unfinished job needs it or may write it: two jobs of different URLs may share a
name. Hidden files belong to running fetches and are skipped; folders are kept.

A file without a known job is kept twice as long, and at least as long as a command lives in JOBS. EVENTS
keeps 30 days, so a job may be unknown because it is old. It may also be unknown because EVENTS was purged, or
has dropped its oldest events at its byte cap, while the import of the file is still queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from services.janitor.duty import Counts, Every, Jobs
from shared.bus import subjects
from shared.bus.streams import STREAMS
from shared.datasets import find_dataset
from shared.job_states import JobState
from shared.paths import name_with_job_id

COMMAND_LIFE: Final = timedelta(seconds=next(one.max_age_s for one in STREAMS if one.name == subjects.JOBS))


@dataclass(frozen=True)
class PruneConfig:
    """How long staged files are kept.

    Args:
        retention: how long a file is kept after its modification time, which is when it was staged.
        max_files: the maximum number removed in one round, the oldest first.
        interval_s: seconds from the start of one round to the start of the next.
    """

    retention: timedelta
    max_files: int
    interval_s: float

    @property
    def retention_of_unowned(self) -> timedelta:
        """How long a file without a known job is kept."""
        return max(2 * self.retention, COMMAND_LIFE)


@dataclass(frozen=True)
class PrunableFile:
    """A complete file in the staging folder."""

    path: str
    """Relative to the staging folder: ``<TICKER>/<endpoint>/<name>``."""
    modified_ns: int
    size_bytes: int

    def age(self, now: datetime) -> timedelta:
        """Return how long ago the file was staged."""
        return now - datetime.fromtimestamp(self.modified_ns / 1e9, tz=UTC)


class StagingFolder(Protocol):
    """The staging folder; its calls block."""

    def files(self) -> list[PrunableFile]:
        """Return the complete staged files."""
        ...

    def remove(self, file: PrunableFile) -> bool:
        """Remove a file unless it has changed or no longer exists; return whether it was removed."""
        ...


def plan(
    files: Iterable[PrunableFile], jobs: Iterable[JobState], now: datetime, config: PruneConfig
) -> tuple[PrunableFile, ...]:
    """Return the files to remove now, the oldest first."""
    needed: set[str] = set()
    owned: set[str] = set()
    for job in jobs:
        (owned if job.is_finished else needed).update(_paths_of(job))

    def is_due(file: PrunableFile) -> bool:
        retention = config.retention if file.path in owned else config.retention_of_unowned
        return file.path not in needed and file.age(now) > retention

    due = sorted(filter(is_due, files), key=lambda file: (file.modified_ns, file.path))
    return tuple(due[: config.max_files])


def _paths_of(job: JobState) -> Iterator[str]:
    """Yield the paths that the job's file has or may get."""
    if job.staged_path:
        yield job.staged_path
    dataset = find_dataset(job.job.endpoint)
    for name in dataset.file_names(job.job) if dataset else ():
        yield f"{job.job.ticker}/{job.job.endpoint}/{name}"
        yield f"{job.job.ticker}/{job.job.endpoint}/{name_with_job_id(name, job.job.job_id)}"


class PruneStagedFiles:
    """The duty."""

    name = "prune_staged_files"

    def __init__(
        self, config: PruneConfig, folder: StagingFolder, jobs: Jobs, clock: Callable[[], datetime]
    ) -> None:
        self._config = config
        self._folder = folder
        self._jobs = jobs
        self._clock = clock

    @property
    def trigger(self) -> Every:
        """When its rounds start."""
        return Every(self._config.interval_s)

    async def run_once(self) -> Counts:
        """Remove the files whose retention has passed; return counts.

        Raises:
            Transient: the jobs are unknown at present; nothing is removed.
        """
        files = await asyncio.to_thread(self._folder.files)
        # Read after the files were listed, so that a job requested in between protects its file.
        jobs = await self._jobs.as_of_now()
        due = plan(files, jobs, self._clock(), self._config)
        removed = await asyncio.to_thread(self._remove, due)
        return {"removed": len(removed), "freed_bytes": sum(file.size_bytes for file in removed)}

    def _remove(self, due: tuple[PrunableFile, ...]) -> list[PrunableFile]:
        return [file for file in due if self._folder.remove(file)]
