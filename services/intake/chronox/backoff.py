"""Repeat what failed because the broker, the importer or a stream was not available."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from services.intake.errors import NotReady, PreconditionFailed
from shared.errors import BrokerUnavailable, StreamFull
from shared.sources.url_encryption import UrlKeysUnusable

_FIRST_S: Final = 0.5
_MAX_S: Final = 30.0
PASSING: Final = (BrokerUnavailable, StreamFull, UrlKeysUnusable, NotReady, PreconditionFailed)
"""What may succeed when it is repeated."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


async def repeated(work: Callable[[], Awaitable[T]], doing: str, within_s: float | None = None) -> T:
    """Return what ``work`` returns; its passing errors are repeated after a delay that doubles.

    Args:
        work: called until it succeeds.
        doing: for the log.
        within_s: after this time the error is raised; None for never.
    """
    delay_s, begun_s = _FIRST_S, time.monotonic()
    while True:
        try:
            return await work()
        except PASSING as error:
            if within_s is not None and time.monotonic() - begun_s + delay_s > within_s:
                raise
            log.warning("run_waits", doing=doing, error=str(error), retry_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_S)
