"""What the system is doing: queue depth, dead letters, jobs by state, who is alive."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from nats.js.errors import NotFoundError

import gexlake
from gexlake.api.jobs import Priority, Stage, Status
from gexlake.api.system import BrokerView, ServiceView, StatusView
from services.intake.state.broker_link import BrokerLink
from services.intake.state.dead_letters import DeadLetters, StoredLetters
from services.intake.state.projection import Projection
from services.intake.state.sources.view import KnownSources, view_circuit
from services.intake.state.write_probe import WriteProbe
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.reports.presence import Heartbeat, is_answering
from shared.errors import BrokerUnavailable

_STATES = tuple(status for status in Status if status is not Status.COMMITTED)
"""Only the ledger has the other one."""
_READ_TIMEOUT_S = 4.0


@dataclass(frozen=True)
class BrokerState:
    """Queue depths and dead letters, read from the broker."""

    queue: dict[tuple[Stage, Priority], int]
    """How many commands wait or are in hand."""
    dead_letters: int | None
    """Those that are unresolved; None until they are known."""
    dead_letters_stored: int
    feed_pending: int | None = None
    """How many live messages are not stored in the lake; None if the importer was never there."""
    chronox_pending: int | None = None
    """The same of CHRONOX."""


async def read_broker_state(link: BrokerLink, dead_letters: DeadLetters) -> BrokerState | None:
    """Return the state of the queues; None when the broker does not respond."""
    try:
        with translate_errors("look at the queues"):
            async with asyncio.timeout(_READ_TIMEOUT_S):
                return await _read(link.require(), dead_letters)
    except BrokerUnavailable:
        return None


async def _read(bus: Bus, dead_letters: DeadLetters) -> BrokerState:
    pairs = [(stage, priority) for stage in Stage for priority in Priority]
    stored, depths, feed_pending, chronox_pending = await asyncio.gather(
        _stored_letters(bus),
        asyncio.gather(*(_depth(bus, stage, priority) for stage, priority in pairs)),
        _pending(bus, subjects.FEED),
        _pending(bus, subjects.CHRONOX),
    )
    queue = dict(zip(pairs, depths, strict=True))
    unresolved = dead_letters.unresolved(stored)
    return BrokerState(queue, unresolved, stored.messages, feed_pending, chronox_pending)


async def _stored_letters(bus: Bus) -> StoredLetters:
    request = json.dumps({"deleted_details": True}).encode()
    reply = await bus.client.request(subjects.stream_info(subjects.DEAD), request, timeout=_READ_TIMEOUT_S)
    state = json.loads(reply.data).get("state")
    if state is None:
        raise BrokerUnavailable(f"look at {subjects.DEAD}")
    return StoredLetters(
        first_seq=state["first_seq"],
        last_seq=state["last_seq"],
        messages=state["messages"],
        removed=frozenset(state.get("deleted") or ()),
    )


async def _depth(bus: Bus, stage: Stage, priority: Priority) -> int:
    return await _unfinished(bus, subjects.JOBS, subjects.durable(stage, priority))


async def _pending(bus: Bus, stream: str) -> int | None:
    try:
        return await _unfinished(bus, stream, subjects.FEED_CONSUMER)
    except NotFoundError:
        return None


async def _unfinished(bus: Bus, stream: str, consumer: str) -> int:
    info = await bus.js.consumer_info(stream, consumer)
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


def jobs_by_state(projection: Projection) -> dict[Status, int]:
    """Count the known jobs."""
    counts = Counter(state.status for state in projection.jobs)
    return {status: counts[status] for status in _STATES}


def partitions_to_rebuild(projection: Projection) -> int | None:
    """Return how many partitions the importer has yet to rebuild, by its last heartbeat; None if unknown."""
    counts = [beat.rebuilding for beat in projection.heartbeats() if beat.rebuilding is not None]
    return counts[-1] if counts else None


def view_status(
    projection: Projection, sources: KnownSources, broker_state: BrokerState | None, now: datetime
) -> StatusView:
    """Return what is known; ``broker_state`` is None when the broker does not answer."""
    services: dict[str, list[ServiceView]] = {}
    for beat in projection.heartbeats():
        services.setdefault(beat.service, []).append(_view_heartbeat(beat, now))
    return StatusView(
        version=gexlake.__version__,
        broker=BrokerView(connected=broker_state is not None),
        rebuilt=projection.is_rebuilt,
        queue=_by_stage(broker_state.queue) if broker_state else None,
        dead_letters=broker_state.dead_letters if broker_state else None,
        dead_letters_stored=broker_state.dead_letters_stored if broker_state else None,
        partitions_to_rebuild=partitions_to_rebuild(projection),
        feed_pending=broker_state.feed_pending if broker_state else None,
        jobs=jobs_by_state(projection),
        services=services,
        sources=[view_circuit(record, now) for record in sources.records],
    )


async def why_not_ready(link: BrokerLink, projection: Projection, write_probe: WriteProbe) -> list[str]:
    """Return the reasons for which jobs would not be done now; none means ready."""
    if not link.is_up:
        return ["the broker is not connected"]
    reasons = [] if projection.is_rebuilt else ["the jobs have not been read from the broker yet"]
    unwritable, importer_answers = await asyncio.gather(
        write_probe.why_not_writable(), _importer_answers(link)
    )
    reasons += unwritable
    if not importer_answers:
        reasons.append("the importer does not answer")
    return reasons


async def _importer_answers(link: BrokerLink) -> bool:
    try:
        with translate_errors("ping the importer"):
            async with asyncio.timeout(_READ_TIMEOUT_S):
                return await is_answering(link.require().client, "importer")
    except BrokerUnavailable:
        return False


def _by_stage(queue: dict[tuple[Stage, Priority], int]) -> dict[Stage, dict[Priority, int]]:
    return {stage: {priority: queue[stage, priority] for priority in Priority} for stage in Stage}


def _view_heartbeat(beat: Heartbeat, now: datetime) -> ServiceView:
    return ServiceView(
        instance=beat.instance,
        version=beat.version,
        at=beat.at,
        age_s=max(0.0, round((now - beat.at).total_seconds(), 3)),
        busy=beat.busy,
        started_at=beat.started_at,
    )
