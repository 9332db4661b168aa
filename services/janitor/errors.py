"""What can go wrong in a duty.

Transient
├── IntakeUnavailable   intake did not answer, or could not do it now
└── NotCaughtUp         the facts about jobs are still being read
Terminal
└── ReplayRefused       intake will not replay this job, now or later
"""

from __future__ import annotations

from uuid import UUID

from shared.errors import Terminal, Transient


class IntakeUnavailable(Transient):
    """Intake did not replay a job, but may do so later.

    Args:
        reason: why, as far as it is known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"intake did not replay the job: {reason}")


class NotCaughtUp(Transient):
    """The facts about jobs were not all read in time.

    Args:
        sequence: the fact of EVENTS that has been read.
        last: the newest one.
    """

    def __init__(self, sequence: int, last: int) -> None:
        super().__init__(f"the facts about jobs are still being read: at {sequence} of {last}")


class ReplayRefused(Terminal):
    """Intake refuses to replay a job.

    Args:
        job_id: which.
        code: an HTTP status; 404 when the job's message is gone.
        reason: in intake's words.
    """

    def __init__(self, job_id: UUID, code: int, reason: str) -> None:
        super().__init__(f"intake refuses to replay the job {job_id} ({code}): {reason}")
        self.job_id = job_id
        self.code = code
        self.reason = reason
