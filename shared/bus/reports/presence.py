"""A service's presence on the bus: heartbeats, and a NATS micro service that answers pings.

``/status`` shows the heartbeats; ``nats service ls`` and the containers' health checks
(``shared.bus.reports.health``) use the micro service.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import structlog
from nats.aio.client import Client
from nats.micro.service import Service, ServiceConfig
from pydantic import AwareDatetime

import gexlake
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.frozen import Frozen
from shared.errors import BrokerUnavailable

HEARTBEAT_INTERVAL_S: Final = 5.0
PING_TIMEOUT_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 1.0
"""For the deregistration, which is optional: the broker drops subscriptions of a closed connection."""

log = structlog.get_logger(__name__)


class StreamReport(Frozen):
    """What the fetcher that follows the vendor's stream reports of it; counts are since its start."""

    is_subscribed: bool
    symbols: int
    """How many are to be streamed."""
    connections: int
    """How often a subscription was accepted."""
    bars: int
    rejected: int
    """How many bars were not correct."""
    unknown: int
    """How many events were of types that are not used."""
    filled: int
    """How many bars were fetched by REST because the stream may have missed them."""
    to_fill: int
    """How many symbols are not filled yet."""
    last_bar_at: AwareDatetime | None
    """When a bar arrived last."""


class Heartbeat(Frozen):
    """One heartbeat of a service instance."""

    service: str
    instance: str
    version: str
    started_at: AwareDatetime
    at: AwareDatetime
    busy: int = 0
    """How many messages or duties the service is working on."""
    slots: int | None = None
    """How many commands a worker executes at the same time; None for other services."""
    has_vendor_key: bool | None = None
    """Whether a fetcher has a key for the vendor's API; None for other services."""
    has_massive_key: bool | None = None
    """Whether a fetcher has a key of Massive; None for other services."""
    has_massive_file_keys: bool | None = None
    """Whether a fetcher has the keys of Massive's flat files; None for other services."""
    stream: StreamReport | None = None
    """Of the fetcher that follows the vendor's stream; None for all others."""
    rebuilding: int | None = None
    """How many partitions the importer has yet to rebuild; None for other services."""


class Workload(Protocol):
    """The part of a service that does its work."""

    @property
    def busy(self) -> int:
        """How many messages or duties are being worked on."""
        ...


@asynccontextmanager
async def announce_service(
    bus: Bus,
    service: str,
    description: str,
    workload: Workload | None = None,
    *,
    slots: int | None = None,
    has_vendor_key: bool | None = None,
    has_massive_key: bool | None = None,
    has_massive_file_keys: bool | None = None,
    rebuilding: Callable[[], int] | None = None,
    stream: Callable[[], StreamReport | None] = lambda: None,
) -> AsyncIterator[Service]:
    """Register the micro service and send heartbeats until exit; yield the service, to add endpoints to."""
    registered = Service(
        bus.client,
        ServiceConfig(
            name=service,
            version=gexlake.__version__,
            description=description,
            metadata={"instance": socket.gethostname()},
        ),
    )
    # After a timeout its subscriptions exist all the same and are restored with the connection.
    with suppress(TimeoutError):
        async with asyncio.timeout(PING_TIMEOUT_S):
            await registered.start()
    first = Heartbeat(
        service=service,
        instance=socket.gethostname(),
        version=gexlake.__version__,
        started_at=(now := bus.clock()),
        at=now,
        slots=slots,
        has_vendor_key=has_vendor_key,
        has_massive_key=has_massive_key,
        has_massive_file_keys=has_massive_file_keys,
    )
    beating = asyncio.create_task(_send_heartbeats(bus, first, workload, rebuilding, stream))
    log.info("service_started", version=gexlake.__version__)
    try:
        yield registered
    finally:
        log.info("service_stopped")
        beating.cancel()
        with suppress(Exception):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await registered.stop()


async def is_answering(client: Client, service: str, instance: str | None = None) -> bool:
    """Return whether a service (on one host, if ``instance`` is given) answers a ping within 2 s."""
    inbox = client.new_inbox()
    replies = await client.subscribe(inbox)
    await client.publish(subjects.ping(service), b"", reply=inbox)
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            async for reply in replies.messages:
                if (reply.headers or {}).get("Status") == "503":
                    return False
                if instance in {None, json.loads(reply.data).get("metadata", {}).get("instance")}:
                    return True
    except TimeoutError:
        return False
    finally:
        await replies.unsubscribe()
    return False


async def _send_heartbeats(
    bus: Bus,
    first: Heartbeat,
    workload: Workload | None,
    rebuilding: Callable[[], int] | None,
    stream: Callable[[], StreamReport | None],
) -> None:
    while True:
        now = {
            "at": bus.clock(),
            "busy": workload.busy if workload is not None else 0,
            "rebuilding": rebuilding() if rebuilding is not None else None,
            "stream": stream(),
        }
        beat = first.model_copy(update=now)
        with suppress(BrokerUnavailable), translate_errors("publish a heartbeat"):
            await bus.client.publish(subjects.heartbeat(beat.service), beat.model_dump_json().encode())
        await asyncio.sleep(HEARTBEAT_INTERVAL_S)
