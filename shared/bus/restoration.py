"""Find deleted streams and create them again, with their consumers, while a service runs.

Every service does this, so one that runs suffices. The messages of a deleted stream are lost.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from nats.js.errors import NotFoundError

from shared.bus import streams
from shared.bus.connection import PUBLISH_TIMEOUT_S, Bus, translate_errors
from shared.errors import BrokerUnavailable

CHECK_INTERVAL_S: Final = 2.0

log = structlog.get_logger(__name__)


async def restore_deleted_streams(bus: Bus, replicas: int, interval_s: float = CHECK_INTERVAL_S) -> None:
    """Look for missing streams forever, and create them with their configuration and consumers."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await _restore(bus, replicas)
        except (BrokerUnavailable, NotFoundError) as error:
            log.debug("streams_not_checked", error=str(error))


async def _restore(bus: Bus, replicas: int) -> None:
    if not bus.is_connected:
        return
    with translate_errors("list the streams"):
        missing = await streams.missing(bus.client, PUBLISH_TIMEOUT_S)
    if missing:
        log.error("streams_missing", streams=missing)
        await bus.apply_streams(replicas)
        log.warning("streams_restored", streams=missing)
