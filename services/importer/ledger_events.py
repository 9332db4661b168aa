"""Write the facts of EVENTS into the ledger, so that it knows the jobs that never reached an import too."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from services.importer import ledger_duckdb as ledger
from services.importer.lake_duckdb import Lake, transaction
from shared import streams, subjects
from shared.bus import Bus, translated
from shared.errors import MalformedMessage, Transient
from shared.messages import Event, decode
from shared.tail import fetch

_BATCH: Final = 500
_WAIT_S: Final = 10.0
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)
Fact = tuple[Event, datetime]


def record(lake: Lake, facts: list[Fact]) -> None:
    """Write facts into the ledger in one transaction; those that it knows already change nothing."""
    with lake.writing() as connection:
        before = ledger.read(connection, {event.job.job_id for event, _ in facts})
        after = dict(before)
        for event, at in facts:
            row = ledger.advance(after.get(str(event.job.job_id)), event, at)
            if row is not None:
                after[row.id] = row
        changed = [row for job_id, row in after.items() if row != before.get(job_id)]
        if changed:
            with transaction(connection):
                ledger.write(connection, changed)


async def keep_ledger(bus: Bus, lake: Lake) -> None:
    """Record facts as they come, until cancelled; a batch is acknowledged when it is committed."""
    while True:
        try:
            with translated("follow EVENTS for the ledger"):
                await bus.js.add_consumer(subjects.EVENTS, streams.ledger_consumer(bus.ack_wait_s))
                subscription = await bus.js.pull_subscribe_bind(subjects.LEDGER_DURABLE, subjects.EVENTS)
                while True:
                    await _record_next(bus, lake, subscription)
        except (Transient, NotFoundError) as error:
            log.warning("ledger_behind", error=str(error), retry_in_s=_RETRY_S)
            await asyncio.sleep(_RETRY_S)


async def _record_next(bus: Bus, lake: Lake, subscription: JetStreamContext.PullSubscription) -> None:
    messages = await fetch(bus, subscription, _BATCH, _WAIT_S)
    if not messages:
        await subscription.consumer_info()  # deleted, it would stay silent for ever
    facts = [fact for message in messages if (fact := _fact(message)) is not None]
    if facts:
        await asyncio.to_thread(record, lake, facts)
    for message in messages:
        await message.ack()


def _fact(message: Msg) -> Fact | None:
    try:
        envelope = decode(message.subject, message.data)
        payload = envelope.open(message.subject)
    except MalformedMessage as error:
        log.warning("event_unreadable", subject=message.subject, error=str(error))
        return None
    return (payload, envelope.occurred_at) if isinstance(payload, Event) else None
