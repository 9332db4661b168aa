"""Say why a followed job waits: the service of its stage is silent, or its last attempt failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from gexlake.api.jobs import JobView, Stage
from gexlake.cli.answers import read_as
from gexlake.cli.errors import CommandFailed

SILENT_S: Final = 20.0
"""How long no sign of life makes a service silent; it gives one every 5 s."""
CHECK_INTERVAL_S: Final = 5.0

_SERVICES: Final = {Stage.FETCH: "fetcher", Stage.IMPORT: "importer"}


class _Instance(BaseModel):
    age_s: float


class _Overview(BaseModel):
    """The part of ``StatusView`` that is needed here, of any version."""

    services: dict[str, list[_Instance]]


class WaitingNotices:
    """Prints a line when the reason changes for which a job waits.

    Args:
        status: asks intake for the overview of the system.
        say: prints a line.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = status
        self._say = say
        self._clock = clock
        self._error: str | None = None
        self._progress: object = None
        self._checked_at = clock()
        self._unseen_since: float | None = None
        self._silent: str | None = None

    def __call__(self, job: JobView) -> None:
        """Take note of a look at the job."""
        if job.is_finished:
            return
        if job.error and job.error != self._error:
            self._say(f"the job waits: {job.error}")
        self._error = job.error
        if self._clock() - self._checked_at >= CHECK_INTERVAL_S:
            self._checked_at = self._clock()
            progress = (job.stage, job.state, job.bytes_fetched, job.progress)
            # While it moves on, its service is there.
            if progress == self._progress or self._silent:
                self._check(_SERVICES[job.stage])
            self._progress = progress

    def _check(self, service: str) -> None:
        silent_s = self._silent_s(service)
        if silent_s is None:
            return
        if silent_s < SILENT_S:
            if self._silent == service:
                self._say(f"the {service} is there again")
            self._silent = None
        elif self._silent != service:
            self._silent = service
            self._say(f"no {service} has been seen for {silent_s:.0f} s; the job waits for it")

    def _silent_s(self, service: str) -> float | None:
        """Return how long a service has given no sign of life; None when that is not known."""
        try:
            found = read_as(_Overview, self._status(), "the status").services.get(service)
        except CommandFailed:  # following the job reports what lasts
            return None
        if found:
            self._unseen_since = None
            return min(view.age_s for view in found)
        # Intake may have just started: it does not know since when.
        if self._unseen_since is None:
            self._unseen_since = self._clock()
        return self._clock() - self._unseen_since
