"""Processes for queries: how many run at a time, and how long each may take."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Final, TypeVar

import structlog

from services.importer.errors import QueryRefused
from services.importer.queries import worker
from services.importer.queries.process import QueryProcess
from services.importer.queries.slots import Slot, Slots
from services.importer.queries.worker import Query

QUICK_S: Final = 0.4
"""How long a query may take in the quick slot, once its process is ready."""
_NICE: Final = 5
"""Of queries that may take long: imports and quick ones go first."""
_MAX_WAITING: Final = 100
_CLOSES_WITHIN_S: Final = 5
_POLL_S: Final = 0.01
_MAX_FOLDER_LENGTH: Final = 60
"""Of the folder for temporary files: multiprocessing makes a socket below it, whose path has a limit."""
_SCRATCH_PREFIX: Final = "query-"
log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """A complete result.

    Args:
        content: its bytes, in the form that was asked for.
        truncated: whether rows were left out.
    """

    content: bytes
    truncated: bool


class TookTooLong(QueryRefused):
    """A query did not end in time, and was killed.

    Args:
        seconds: how long it was allowed to take.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the query took longer than {seconds:g} s and was stopped", 408)


class WorkerPool:
    """Runs queries in processes; its methods are called from one event loop.

    A query that gets no full slot has a quick turn, and is run again in a full slot if that was not enough.
    An export has a slot of its own.

    Args:
        slots: how many queries may run at a time, beside the quick one and the export.
        scratch: the folder in which each process has one for what does not fit in memory.
    """

    def __init__(self, slots: int, scratch: Path) -> None:
        # A process that is forked from one without threads starts within milliseconds.
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["nanoarrow.ipc", worker.__name__])
        self._threads = ThreadPoolExecutor(slots + 4, thread_name_prefix="query")
        self._slots = Slots(slots)
        self._export = asyncio.Lock()
        self._scratch = scratch
        self._numbers = itertools.count(1)
        self._running: set[QueryProcess] = set()
        self._is_closed = False

    async def start(self) -> None:
        """Start the process that the others are forked from, and remove what killed ones have left."""
        for left in self._scratch.glob(f"{_SCRATCH_PREFIX}*"):
            rmtree(left, ignore_errors=True)
        if len(tempfile.gettempdir()) > _MAX_FOLDER_LENGTH:
            tempfile.tempdir = "/tmp"  # noqa: S108 (multiprocessing makes a private folder in it)
        process = self._context.Process(target=int)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, process.start)
        except (EOFError, OSError) as error:
            # A signal to the whole group ended it; the first query starts it again.
            log.warning("query_process_not_started", error=str(error) or type(error).__name__)
        else:
            await asyncio.get_running_loop().run_in_executor(self._threads, process.join)

    async def close(self) -> None:
        """Kill every query, and wait until nothing is left of it."""
        self._is_closed = True
        try:
            async with asyncio.timeout(_CLOSES_WITHIN_S):
                while self._running:
                    for process in self._running:
                        process.kill()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            log.warning("query_processes_left", count=len(self._running))
        self._threads.shutdown(wait=False)

    async def run(self, query: Query, timeout_s: float) -> Result:
        """Run a query and return its result.

        Raises:
            QueryRefused: it fails, takes too long or too much memory, or too many others do.
        """
        if self._slots.waiting >= _MAX_WAITING:
            raise QueryRefused(f"{_MAX_WAITING} queries are waiting already: send it again later", 503)
        deadline = asyncio.get_running_loop().time() + timeout_s
        slot = await self._take(deadline, timeout_s)
        if slot is Slot.QUICK:
            try:
                return await self._run_until(query, min(QUICK_S, timeout_s), slot)
            except TookTooLong:
                slot = await self._take(deadline, timeout_s, had_quick_turn=True)
        left = max(deadline - asyncio.get_running_loop().time(), QUICK_S)
        try:
            return await self._run_until(query, left, slot)
        except TookTooLong:
            raise TookTooLong(timeout_s) from None

    async def stream(self, query: Query, timeout_s: float) -> AsyncGenerator[bytes, None]:
        """Yield the result of a query in chunks; it waits until a chunk is consumed.

        Raises:
            QueryRefused: it fails, takes too long or too much memory, perhaps after the first chunks; or
                another one is running.
        """
        if self._export.locked():
            raise QueryRefused("another export is running: send it again when that has ended", 503)
        deadline = asyncio.get_running_loop().time() + timeout_s
        async with self._export, self._process(replace(query, nice=_NICE)) as process:
            chunks = process.chunks()
            while chunk := await self._before(deadline, anext(chunks, b""), timeout_s):
                yield chunk
            await self._before(deadline, process.ended(), timeout_s)

    async def _take(self, deadline: float, timeout_s: float, *, had_quick_turn: bool = False) -> Slot:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._slots.take(had_quick_turn=had_quick_turn)
        except TimeoutError:
            raise QueryRefused(
                f"no process was free within {timeout_s:g} s, because other queries take long: send it again",
                503,
            ) from None

    async def _run_until(self, query: Query, timeout_s: float, slot: Slot) -> Result:
        try:
            query = replace(query, nice=0 if slot is Slot.QUICK else _NICE)
            async with self._process(query) as process, asyncio.timeout(timeout_s):
                content = b"".join([chunk async for chunk in process.chunks()])
                ended = await process.ended()
        except TimeoutError:
            raise TookTooLong(timeout_s) from None
        finally:
            self._slots.give_back(slot)
        return Result(content, ended.truncated)

    async def _before(self, deadline: float, work: Awaitable[T], timeout_s: float) -> T:
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError:
            raise TookTooLong(timeout_s) from None

    @contextlib.asynccontextmanager
    async def _process(self, query: Query) -> AsyncIterator[QueryProcess]:
        if self._is_closed:
            raise QueryRefused("the importer is stopping: send the query again", 503)
        scratch = self._scratch / f"{_SCRATCH_PREFIX}{next(self._numbers)}"
        process = QueryProcess(self._context, self._threads, replace(query, scratch=scratch))
        self._running.add(process)
        try:
            async with process:
                yield process
        finally:
            self._running.discard(process)
