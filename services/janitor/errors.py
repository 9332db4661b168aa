"""The errors of a duty.

Transient
├── IntakeUnavailable   intake did not answer, or cannot do it now
├── ImporterUnavailable the importer did not answer, or cannot archive now
└── NotCaughtUp         EVENTS has not been read to its end in time
Terminal
├── ReplayRefused       intake refuses to replay the job, now or later
├── IntakeRefused       intake refuses what a duty asks for
├── NoSuchDuty          no duty has this name
└── AlreadyRunning      a round of the duty is in progress
"""

from __future__ import annotations

from uuid import UUID

from shared.errors import Terminal, Transient


class IntakeUnavailable(Transient):
    """Intake did not do what a duty asks for, but may later.

    Args:
        reason: why, as far as it is known.
        what: it was to do.
    """

    def __init__(self, reason: str, what: str = "replay the job") -> None:
        super().__init__(f"intake did not {what}: {reason}")


class ImporterUnavailable(Transient):
    """The importer did not archive jobs, but may later.

    Args:
        reason: why, as far as it is known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the importer did not archive jobs: {reason}")


class NotCaughtUp(Transient):
    """EVENTS has not been read to its end in time.

    Args:
        sequence: the stream sequence that has been read.
        last: the sequence of the newest event.
    """

    def __init__(self, sequence: int, last: int) -> None:
        super().__init__(f"EVENTS is still being read: at sequence {sequence} of {last}")


class ReplayRefused(Terminal):
    """Intake refuses to replay a job.

    Args:
        job_id: the job.
        code: an HTTP status; 404 when the job's command has expired.
        reason: intake's error message.
    """

    def __init__(self, job_id: UUID, code: int, reason: str) -> None:
        super().__init__(f"intake refuses to replay the job {job_id} ({code}): {reason}")
        self.job_id = job_id
        self.code = code
        self.reason = reason


class IntakeRefused(Terminal):
    """Intake refuses what a duty asks for.

    Args:
        what: it was to do.
        reason: intake's error message.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"intake does not {what}: {reason}")


class NoSuchDuty(Terminal):
    """No duty has this name.

    Args:
        name: the name.
        known: the names that there are.
    """

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{name[:64]!r} is no job of the schedule: use one of {', '.join(known)}")


class AlreadyRunning(Terminal):
    """A round of the duty is in progress.

    Args:
        name: of the duty.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is running: its state is in the schedule's status")
