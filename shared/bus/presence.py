"""A service's presence on the bus: heartbeats, and a NATS micro service that answers pings.

The heartbeat is what ``/status`` shows; the micro service is what ``nats service ls`` and the containers'
health checks (``shared.bus.health``) ask.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import structlog
from nats.aio.client import Client
from nats.micro.service import Service, ServiceConfig
from pydantic import AwareDatetime

import shared
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.messages import Frozen
from shared.errors import BrokerUnavailable

INTERVAL_S: Final = 5.0
PING_TIMEOUT_S: Final = 2.0
_STOP_WITHIN_S: Final = 1.0
"""A broker that is gone too does not answer, and one that is there forgets by itself who has left."""
log = structlog.get_logger(__name__)


class Heartbeat(Frozen):
    """One sign of life."""

    service: str
    instance: str
    version: str
    started_at: AwareDatetime
    at: AwareDatetime
    busy: int = 0
    """How many messages the service has in hand."""
    has_vendor_key: bool | None = None
    """Whether a fetcher has the key to the vendor's API; None of other services."""


class Busy(Protocol):
    """What does a service's work, and can tell how much of it is in hand."""

    @property
    def busy(self) -> int:
        """How many messages are in hand."""
        ...


@asynccontextmanager
async def announce_service(
    bus: Bus,
    service: str,
    description: str,
    worker: Busy | None = None,
    *,
    has_vendor_key: bool | None = None,
) -> AsyncIterator[Service]:
    """Be visible on the bus as ``service``; yields the micro service, to add endpoints to."""
    registered = Service(
        bus.client,
        ServiceConfig(
            name=service,
            version=shared.__version__,
            description=description,
            metadata={"instance": socket.gethostname()},
        ),
    )
    # Its subscriptions stand, and come back with the connection: a broker that dies now is no reason to end.
    with suppress(TimeoutError):
        async with asyncio.timeout(PING_TIMEOUT_S):
            await registered.start()
    first = Heartbeat(
        service=service,
        instance=socket.gethostname(),
        version=shared.__version__,
        started_at=(now := bus.clock()),
        at=now,
        has_vendor_key=has_vendor_key,
    )
    beating = asyncio.create_task(_beat(bus, first, worker))
    log.info("service_started", version=shared.__version__)
    try:
        yield registered
    finally:
        log.info("service_stopped")
        beating.cancel()
        with suppress(Exception):
            async with asyncio.timeout(_STOP_WITHIN_S):
                await registered.stop()


async def is_answering(client: Client, service: str, instance: str | None = None) -> bool:
    """Tell whether a service (on one host, if ``instance`` is given) answers a ping within 2 s."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish(subjects.ping(service), b"", reply=inbox)
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            async for answer in answers.messages:
                if (answer.headers or {}).get("Status") == "503":
                    return False
                if instance in {None, json.loads(answer.data).get("metadata", {}).get("instance")}:
                    return True
    except TimeoutError:
        return False
    finally:
        await answers.unsubscribe()
    return False


async def _beat(bus: Bus, first: Heartbeat, worker: Busy | None) -> None:
    while True:
        busy = worker.busy if worker is not None else 0
        beat = first.model_copy(update={"at": bus.clock(), "busy": busy})
        with suppress(BrokerUnavailable), translate_errors("say that the service is alive"):
            await bus.client.publish(subjects.heartbeat(beat.service), beat.model_dump_json().encode())
        await asyncio.sleep(INTERVAL_S)
