"""Every subject, durable and stream name: built and parsed here only.

The endpoints of services (``gex.svc.…``) are in ``gexlake.api.services``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from uuid import UUID

from gexlake.api.chronox.symbols import Phase
from gexlake.api.jobs import Priority, Stage

JOBS: Final = "JOBS"
EVENTS: Final = "EVENTS"
FEED: Final = "FEED"
DEAD: Final = "DEAD"
SOURCES: Final = "SOURCES"
TURNS: Final = "TURNS"
BODIES: Final = "BODIES"
RULES: Final = "RULES"
"""A key-value bucket: its stream is ``KV_RULES``."""
CHRONOX: Final = "CHRONOX"
SYMBOLS: Final = "SYMBOLS"
"""The key-value bucket of the registry of symbols."""

FEED_CONSUMER: Final = "importer"
"""The durable consumer of FEED, and of CHRONOX, that stores messages in the lake."""

ALL_COMMANDS: Final = "gex.job.>"
ALL_EVENTS: Final = "gex.event.job.>"
ALL_LIVE: Final = "gex.feed.>"
ALL_LIVE_SNAPSHOTS: Final = "gex.feed.gex.>"
ALL_DEAD_LETTERS: Final = "gex.dead.>"
ALL_SOURCES: Final = "gex.source.>"
ALL_TURNS: Final = "gex.turn.>"
ALL_BODIES: Final = "gex.body.>"
ALL_RULES: Final = "$KV.RULES.>"
ALL_BARS: Final = "chronox.>"
ALL_SYMBOLS: Final = "$KV.SYMBOLS.>"
ALL_HEARTBEATS: Final = "gex.heartbeat.>"
ALL_PROGRESS: Final = "gex.progress.>"
STREAM_NAMES: Final = "$JS.API.STREAM.NAMES"
"""The subject of JetStream's API that lists the streams."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_NO_TOPIC: Final = "none"
_MAX_TOPIC_TOKEN: Final = 128
"""Clients choose topics freely; the message has the whole one."""


class EventType(StrEnum):
    """The types of event in EVENTS."""

    REQUESTED = "requested"
    STARTED = "started"
    STAGED = "staged"
    IMPORTED = "imported"
    SKIPPED = "skipped"
    NO_DATA = "no_data"
    PUBLISHED = "published"
    FAILED = "failed"
    REPLAYED = "replayed"
    CANCELLED = "cancelled"


def command(stage: Stage, priority: Priority, ticker: str) -> str:
    """Return the subject of a command: ``gex.job.<stage>.<priority>.<ticker>``."""
    return f"gex.job.{stage}.{priority}.{encode_token(ticker)}"


def commands(stage: Stage, priority: Priority | None = None) -> str:
    """Return the subject filter of a stage's commands, of one priority or of all."""
    return f"gex.job.{stage}.{priority}.>" if priority else f"gex.job.{stage}.>"


def durable(stage: Stage, priority: Priority) -> str:
    """Return the name of the durable consumer of a stage and priority."""
    return f"{stage}_{priority}"


def stream_info(stream: str) -> str:
    """Return the subject of JetStream's API that describes a stream."""
    return f"$JS.API.STREAM.INFO.{stream}"


def direct_get(stream: str) -> str:
    """Return the subject of JetStream's API that reads stored messages without a consumer."""
    return f"$JS.API.DIRECT.GET.{stream}"


def next_message(stream: str, consumer: str) -> str:
    """Return the subject of JetStream's API that pulls the next messages of a consumer."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def next_command(stage: Stage, priority: Priority) -> str:
    """Return the subject of JetStream's API that pulls the next command of a stage and priority."""
    return next_message(JOBS, durable(stage, priority))


def body(job_id: UUID) -> str:
    """Return the subject of a file that a client posted inline."""
    return f"gex.body.{job_id}"


def live_snapshot(ticker: str) -> str:
    """Return the subject of live snapshots of a ticker."""
    return f"gex.feed.gex.{encode_token(ticker)}"


def live_webhook(topic: str | None) -> str:
    """Return the subject of a webhook's payloads on a topic, or on none."""
    return f"gex.feed.uw.{encode_token(topic or '')[:_MAX_TOPIC_TOKEN] or _NO_TOPIC}"


def live_chain(symbol: str) -> str:
    """Return the subject of snapshots of a symbol's option chain."""
    return f"gex.feed.chain.{encode_token(symbol)}"


def event(event_type: EventType, job_id: UUID) -> str:
    """Return the subject of an event about a job."""
    return f"gex.event.job.{event_type}.{job_id}"


def events_of(job_id: UUID) -> str:
    """Return the subject filter of all events about a job."""
    return f"gex.event.job.*.{job_id}"


def dead(subject: str) -> str:
    """Return the subject of a message's dead letter."""
    return f"gex.dead.{subject}"


def source(base_url: str) -> str:
    """Return the subject of a source's health record."""
    return f"gex.source.{encode_token(base_url)}"


def bucket_stream(bucket: str) -> str:
    """Return the name of the stream below a key-value bucket."""
    return f"KV_{bucket}"


def bucket_prefix(bucket: str) -> str:
    """Return what the subjects of a key-value bucket begin with; the key follows."""
    return f"$KV.{bucket}."


def chronox(phase: Phase, symbol: str) -> str:
    """Return the subject of a symbol's bars or snapshots: ``chronox.<phase>.<symbol>``."""
    return f"chronox.{phase}.{encode_token(symbol)}"


def all_chronox(phase: Phase) -> str:
    """Return the subject filter of all symbols' bars or snapshots of a phase."""
    return f"chronox.{phase}.*"


def symbol_key(symbol: str) -> str:
    """Return the key of a symbol in the bucket SYMBOLS."""
    return encode_token(symbol)


def run_owner_key(owner: str) -> str:
    """Return the key in the bucket SYMBOLS of an intake that drives runs; keys of symbols have no dot."""
    return f"owner.{owner}"


def run_owner_in(subject: str) -> str | None:
    """Return the intake whose key in the bucket SYMBOLS a subject is; None if it is a symbol's."""
    prefix = bucket_prefix(SYMBOLS) + run_owner_key("")
    return subject.removeprefix(prefix) if subject.startswith(prefix) else None


def stream_lease_key() -> str:
    """Return the key in the bucket SYMBOLS of the fetcher that follows the vendor's stream."""
    return "lease.stream"


def is_symbol_key(subject: str) -> bool:
    """Return whether a subject of the bucket SYMBOLS is a symbol's: other keys have a dot."""
    return "." not in subject.removeprefix(bucket_prefix(SYMBOLS))


def vendor_lease(ticker: str, endpoint: str) -> str:
    """Return the subject of the lease to request a ticker and endpoint from the vendor's API."""
    return f"gex.turn.{encode_token(ticker)}.{encode_token(endpoint)}"


def rate_slot(vendor: str, slot: int) -> str:
    """Return the subject of one of the slots in which calls to a vendor's API may begin."""
    return f"gex.turn.{encode_token(vendor)}.{slot}"


def probe(stream: str) -> str:
    """Return the subject of the messages that prove that a stream can be written."""
    return f"gex.probe.{stream}"


def heartbeat(service: str) -> str:
    """Return the subject of a service's heartbeats (core NATS)."""
    return f"gex.heartbeat.{service}"


def ping(service: str) -> str:
    """Return the subject that pings a service (NATS micro)."""
    return f"$SRV.PING.{service}"


def progress(job_id: UUID) -> str:
    """Return the subject of a job's progress reports (core NATS)."""
    return f"gex.progress.{job_id}"


def encode_token(text: str) -> str:
    """Encode any text as one subject token of ``[A-Za-z0-9_-]``; no two texts share a token."""
    return "".join(
        char if _PLAIN.fullmatch(char) else "".join(f"-{byte:02X}" for byte in char.encode()) for char in text
    )
