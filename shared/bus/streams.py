"""The streams and durable consumers, as data, and the one step that applies them.

``apply`` is idempotent: it creates what is missing and updates what differs. Streams that are not defined
here are not touched. Nothing else creates a stream.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Final

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from gexlake.api.jobs import Priority, Stage
from shared.bus import subjects
from shared.process.settings import DEFAULT_FEED_MAX_MB

_MIB: Final = 1024 * 1024
_HOUR_S: Final = 3600.0
_DAY_S: Final = 24 * _HOUR_S

MAX_ACK_PENDING: Final = 20_000
"""How many unacknowledged messages the workers of one consumer may hold together.

Deferred messages count: a source whose circuit is open may have thousands of jobs, and they must not block
those of other sources.
"""

EVENTS_KEPT_PER_SUBJECT: Final = 20
"""How many events of one type are kept of a job, the newest.

A job that waits for days for a source publishes an event for each deferral. Attempts are counted from the
last event alone; the others are for people. 10,000 such jobs stay well below the byte cap of EVENTS.
"""

REVISIONS_KEPT: Final = 64
"""How many revisions of a key the bucket RULES keeps: JetStream's clients allow no more."""


@dataclass(frozen=True)
class Stream:
    """One stream: its subjects and its limits."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: float
    """0 for no limit."""
    max_bytes: int
    duplicate_window_s: float
    refuses_when_full: bool = False
    """Whether a full stream refuses new messages, with an error to the sender, or drops its oldest."""
    max_per_subject: int = -1
    """How many messages of one subject are kept, the newest; -1 for all."""
    holds_leases: bool = False
    """Whether a subject refuses a message while it holds one; each message carries its time to live."""
    takes_batches: bool = False
    """Whether several messages may be published as one batch, which is stored as a whole or not at all."""
    is_compressed: bool = False
    """Whether its files are compressed."""
    is_bucket: bool = False
    """Whether it is a key-value bucket, as the clients of NATS define them."""
    takes_lifetimes: bool = False
    """Whether a message may say how long it is kept, in place of the stream's ``max_age_s``."""
    takes_probes: bool = False
    """Whether intake proves by messages, which expire after a second, that the stream can be written."""

    def config(self, replicas: int) -> StreamConfig:
        """Return the definition in JetStream's terms."""
        probes = [subjects.probe(self.name)] if self.takes_probes else []
        return StreamConfig(
            name=self.name,
            subjects=[*self.subjects, *probes],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW if self.refuses_when_full else DiscardPolicy.OLD,
            max_age=self.max_age_s,
            max_bytes=self.max_bytes,
            max_msgs_per_subject=self.max_per_subject,
            discard_new_per_subject=self.holds_leases,
            allow_msg_ttl=self.holds_leases or self.takes_probes or self.is_bucket or self.takes_lifetimes,
            allow_rollup_hdrs=self.is_bucket,
            deny_delete=self.is_bucket,
            duplicate_window=self.duplicate_window_s,
            num_replicas=replicas,
            allow_direct=True,
            allow_atomic=self.takes_batches or None,
            compression=StoreCompression.S2 if self.is_compressed else StoreCompression.NONE,
        )


STREAMS: Final = (
    Stream(
        subjects.JOBS,
        (subjects.ALL_COMMANDS,),
        14 * _DAY_S,
        256 * _MIB,
        _DAY_S,
        refuses_when_full=True,
        takes_probes=True,
    ),
    Stream(
        subjects.EVENTS,
        (subjects.ALL_EVENTS,),
        30 * _DAY_S,
        512 * _MIB,
        _DAY_S,
        max_per_subject=EVENTS_KEPT_PER_SUBJECT,
        takes_probes=True,
    ),
    Stream(
        subjects.FEED,
        (subjects.ALL_LIVE,),
        2 * _DAY_S,
        DEFAULT_FEED_MAX_MB * _MIB,
        _HOUR_S / 6,
        refuses_when_full=True,
        takes_batches=True,
        is_compressed=True,
    ),
    Stream(
        subjects.CHRONOX,
        (subjects.ALL_BARS,),
        7 * _DAY_S,
        1024 * _MIB,
        _HOUR_S / 6,
        refuses_when_full=True,
        takes_batches=True,
        is_compressed=True,
    ),
    Stream(subjects.DEAD, (subjects.ALL_DEAD_LETTERS,), 90 * _DAY_S, 256 * _MIB, _DAY_S),
    Stream(subjects.BODIES, (subjects.ALL_BODIES,), 14 * _DAY_S, 128 * _MIB, _DAY_S, refuses_when_full=True),
    Stream(
        subjects.SOURCES,
        (subjects.ALL_SOURCES,),
        90 * _DAY_S,
        8 * _MIB,
        120.0,
        max_per_subject=1,
        takes_lifetimes=True,
    ),
    Stream(
        subjects.TURNS,
        (subjects.ALL_TURNS,),
        60.0,
        _MIB,
        60.0,
        refuses_when_full=True,
        max_per_subject=1,
        holds_leases=True,
    ),
    Stream(
        subjects.bucket_stream(subjects.RULES),
        (subjects.ALL_RULES,),
        0.0,
        32 * _MIB,
        120.0,
        refuses_when_full=True,
        max_per_subject=REVISIONS_KEPT,
        is_bucket=True,
    ),
    Stream(
        subjects.bucket_stream(subjects.SYMBOLS),
        (subjects.ALL_SYMBOLS,),
        0.0,
        64 * _MIB,
        120.0,
        refuses_when_full=True,
        max_per_subject=1,  # of thousands of symbols, each written often
        is_bucket=True,
    ),
)


def job_consumer(stage: Stage, priority: Priority, ack_wait_s: float) -> ConsumerConfig:
    """Return the durable pull consumer of a stage and priority.

    The broker never stops delivering a message (``max_deliver`` -1): workers count attempts. After
    ``ack_wait_s`` without an in-progress heartbeat it redelivers the message.
    """
    return ConsumerConfig(
        durable_name=subjects.durable(stage, priority),
        filter_subject=subjects.commands(stage, priority),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
    )


async def apply(
    js: JetStreamContext, *, replicas: int, ack_wait_s: float, feed_max_mb: int = DEFAULT_FEED_MAX_MB
) -> None:
    """Create or update the streams and durable consumers that are defined here."""
    defined = (
        replace(stream, max_bytes=feed_max_mb * _MIB) if stream.name == subjects.FEED else stream
        for stream in STREAMS
    )
    await asyncio.gather(*(_apply_stream(js, stream.config(replicas)) for stream in defined))
    consumers = (job_consumer(stage, priority, ack_wait_s) for stage in Stage for priority in Priority)
    await asyncio.gather(*(js.add_consumer(subjects.JOBS, consumer) for consumer in consumers))


async def missing(client: Client, timeout_s: float) -> tuple[str, ...]:
    """Return the names of the streams that are defined here and do not exist."""
    reply = await client.request(subjects.STREAM_NAMES, b"{}", timeout=timeout_s)
    listed = json.loads(reply.data)
    if "error" in listed:  # JetStream itself is not available: nothing is known of the streams
        return ()
    found = set(listed["streams"] or ())
    return tuple(stream.name for stream in STREAMS if stream.name not in found)


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
    "allow_rollup_hdrs",
    "duplicate_window",
    "num_replicas",
    "allow_direct",
    "allow_atomic",
    "compression",
)
