"""The streams and durable consumers, as data, and the one step that applies them.

``apply`` is idempotent: it creates what is missing, updates what differs, and leaves the rest alone. Nothing
else creates a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.subjects import Priority, Stage

_MIB: Final = 1024 * 1024
_HOUR_S: Final = 3600.0
_DAY_S: Final = 24 * _HOUR_S

MAX_ACK_PENDING: Final = 20_000
"""What all workers of one consumer may have in hand together.

That includes what was put off: a source that is left alone may have thousands of jobs, and they must not hold
up those of other sources.
"""

EVENTS_KEPT_PER_SUBJECT: Final = 20
"""How many facts of one kind are kept of a job, the newest.

A job that waits for days for a source tells of each time that it was put off. Attempts are counted by the
last fact alone; the others are for people. What 10,000 such jobs keep is well below the cap of EVENTS.
"""


@dataclass(frozen=True)
class Stream:
    """One stream: what it takes, how much, and for how long."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: float
    max_bytes: int
    duplicate_window_s: float
    refuses_when_full: bool = False
    """Whether a full stream refuses new messages, so that the sender hears of it, or drops its oldest."""
    max_per_subject: int = -1
    """How many messages of one subject are kept, the newest; -1 for all."""
    is_taken_in_turns: bool = False
    """Whether a subject takes no message while it holds one, and each message says when it is to end."""

    def config(self, replicas: int) -> StreamConfig:
        """Return what JetStream is told."""
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW if self.refuses_when_full else DiscardPolicy.OLD,
            max_age=self.max_age_s,
            max_bytes=self.max_bytes,
            max_msgs_per_subject=self.max_per_subject,
            discard_new_per_subject=self.is_taken_in_turns,
            allow_msg_ttl=self.is_taken_in_turns,
            duplicate_window=self.duplicate_window_s,
            num_replicas=replicas,
            allow_direct=True,
        )


STREAMS: Final = (
    Stream(subjects.JOBS, (subjects.ALL_COMMANDS,), 14 * _DAY_S, 256 * _MIB, _DAY_S, refuses_when_full=True),
    Stream(
        subjects.EVENTS,
        (subjects.ALL_EVENTS,),
        30 * _DAY_S,
        512 * _MIB,
        _DAY_S,
        max_per_subject=EVENTS_KEPT_PER_SUBJECT,
    ),
    Stream(subjects.FEED, (subjects.ALL_LIVE,), 2 * _DAY_S, 1024 * _MIB, _HOUR_S / 6, refuses_when_full=True),
    Stream(subjects.DEAD, (subjects.ALL_DEAD_LETTERS,), 90 * _DAY_S, 256 * _MIB, _DAY_S),
    Stream(subjects.ADVISORIES, subjects.ALL_ADVISORIES, 14 * _DAY_S, 32 * _MIB, 120.0),
    Stream(subjects.SOURCES, (subjects.ALL_SOURCES,), 90 * _DAY_S, 8 * _MIB, 120.0, max_per_subject=1),
    Stream(
        subjects.TURNS,
        (subjects.ALL_TURNS,),
        60.0,
        _MIB,
        60.0,
        refuses_when_full=True,
        max_per_subject=1,
        is_taken_in_turns=True,
    ),
)


def job_consumer(stage: Stage, priority: Priority, ack_wait_s: float) -> ConsumerConfig:
    """Return the durable pull consumer of a stage and priority.

    The broker never gives a message up by itself (``max_deliver`` -1): workers count attempts. After
    ``ack_wait_s`` without a sign of work it gives a message to another worker.
    """
    return ConsumerConfig(
        durable_name=subjects.durable(stage, priority),
        filter_subject=subjects.commands(stage, priority),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
    )


async def apply(js: JetStreamContext, *, replicas: int, ack_wait_s: float) -> None:
    """Make the broker's streams and durables those that are defined here."""
    for stream in STREAMS:
        await _apply_stream(js, stream.config(replicas))
    for stage in Stage:
        for priority in Priority:
            await js.add_consumer(subjects.JOBS, job_consumer(stage, priority, ack_wait_s))


async def _apply_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    assert wanted.name is not None  # noqa: S101 (for the type checker: StreamConfig's fields are optional)
    try:
        current = (await js.stream_info(wanted.name)).config
    except NotFoundError:
        await js.add_stream(wanted)
        return
    if any(getattr(current, field) != getattr(wanted, field) for field in _COMPARED):
        await js.update_stream(wanted)


_COMPARED: Final = (
    "subjects",
    "discard",
    "max_age",
    "max_bytes",
    "max_msgs_per_subject",
    "discard_new_per_subject",
    "allow_msg_ttl",
    "duplicate_window",
    "num_replicas",
    "allow_direct",
)
