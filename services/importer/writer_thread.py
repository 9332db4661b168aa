"""Run work on the lake in a thread, with a time limit, and interruptible when the service stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import duckdb

from services.importer.errors import ImportTimedOut
from services.importer.lake_duckdb import Lake

_INTERRUPT_AGAIN_S: Final = 0.1
T = TypeVar("T")


async def run_in_writer_thread(lake: Lake, work: Callable[[], T], timeout_s: float) -> T:
    """Return what ``work`` returns.

    A thread cannot be cancelled: when the time is over, or the caller is cancelled, DuckDB is interrupted
    until the thread has rolled back and ended.

    Raises:
        ImportTimedOut: it took longer than ``timeout_s``.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        done, _ = await asyncio.wait({running}, timeout=timeout_s)
    except asyncio.CancelledError:
        await _interrupt(lake, running)
        raise
    if not done:
        await _interrupt(lake, running)
    try:
        return running.result()
    except duckdb.InterruptException as error:
        raise ImportTimedOut(timeout_s) from error


async def _interrupt(lake: Lake, running: asyncio.Future[T]) -> None:
    while not running.done():
        lake.interrupt_writer()
        await asyncio.wait({running}, timeout=_INTERRUPT_AGAIN_S)
    running.exception()  # taken note of
