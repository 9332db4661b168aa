"""A service's presence on the bus: heartbeats, and a NATS micro service that answers pings.

The heartbeat is what ``/status`` shows; the micro service is what ``nats service ls`` and the containers'
health checks ask (``python -m shared.presence fetcher``).
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import nats
import structlog
from nats import micro
from nats.aio.client import Client
from nats.micro.service import Service
from pydantic import AwareDatetime

import shared
from shared import subjects
from shared.bus import Bus, translated
from shared.errors import BrokerUnavailable
from shared.messages import Frozen
from shared.settings import Settings, load

INTERVAL_S: Final = 5.0
PING_TIMEOUT_S: Final = 2.0
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


@asynccontextmanager
async def present(
    bus: Bus, service: str, description: str, worker: object | None = None
) -> AsyncIterator[Service]:
    """Be visible on the bus as ``service``; yields the micro service, to add endpoints to."""
    registered = await micro.add_service(
        bus.client,
        name=service,
        version=shared.__version__,
        description=description,
        metadata={"instance": socket.gethostname()},
    )
    beating = asyncio.create_task(_beat(bus, service, bus.clock(), worker))
    log.info("service_started", version=shared.__version__)
    try:
        yield registered
    finally:
        log.info("service_stopped")
        beating.cancel()
        with suppress(Exception):
            await registered.stop()


async def is_answering(client: Client, service: str, instance: str | None = None) -> bool:
    """Tell whether a service (on one host, if ``instance`` is given) answers a ping within 2 s."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish(f"$SRV.PING.{service}", b"", reply=inbox)
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


async def _beat(bus: Bus, service: str, started_at: datetime, worker: object | None) -> None:
    while True:
        beat = Heartbeat(
            service=service,
            instance=socket.gethostname(),
            version=shared.__version__,
            started_at=started_at,
            at=bus.clock(),
            busy=getattr(worker, "busy", 0),
        )
        with suppress(BrokerUnavailable), translated("say that the service is alive"):
            await bus.client.publish(subjects.heartbeat(service), beat.model_dump_json().encode())
        await asyncio.sleep(INTERVAL_S)


async def _check(service: str) -> bool:
    # Left to itself the client tries for two minutes, and tells each attempt.
    client = await nats.connect(
        load(Settings).broker_url,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=2,
        error_cb=_keep_quiet,
    )
    try:
        return await is_answering(client, service, socket.gethostname())
    finally:
        await client.close()


async def _keep_quiet(_: Exception) -> None:
    """Leave it to the caller to tell the error."""


if __name__ == "__main__":
    try:
        sys.exit(0 if asyncio.run(_check(sys.argv[1])) else 1)
    except (nats.errors.Error, OSError) as error:
        sys.exit(f"{sys.argv[1]}: the broker does not answer: {error}")
