"""The thread that writes to the lake, with a time limit."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import duckdb

from services.importer.errors import ImportTimedOut
from services.importer.interruption import Interruption

_INTERRUPT_AGAIN_S: Final = 0.1
T = TypeVar("T")


class WriterThread:
    """One thread for everything that writes; work is done in the order of the calls."""

    def __init__(self, name: str = "writer") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._thread, context.run, work)

    async def run_within(self, work: Callable[[Interruption], T], timeout_s: float) -> T:
        """Return what ``work`` returns.

        A thread cannot be cancelled. When the time is over, or the caller is cancelled, the work is
        interrupted repeatedly until it has rolled back and ended.

        Raises:
            ImportTimedOut: it took longer than ``timeout_s``.
        """
        interruption = Interruption()
        running = asyncio.ensure_future(self.run(lambda: work(interruption)))
        try:
            done, _ = await asyncio.wait({running}, timeout=timeout_s)
        except asyncio.CancelledError:
            await _interrupt(interruption, running)
            raise
        if not done:
            await _interrupt(interruption, running)
        try:
            return running.result()
        except duckdb.InterruptException as error:
            raise ImportTimedOut(timeout_s) from error


async def _interrupt(interruption: Interruption, running: asyncio.Future[T]) -> None:
    while not running.done():
        interruption.request()
        await asyncio.wait({running}, timeout=_INTERRUPT_AGAIN_S)
    running.exception()  # retrieved, so that asyncio does not report it
