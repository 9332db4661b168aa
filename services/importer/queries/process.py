"""One process that runs one query, seen from the importer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from shutil import rmtree
from typing import Final, Self, TypeVar

import structlog

from services.importer.errors import QueryRefused
from services.importer.queries import worker
from services.importer.queries.worker import MAX_ENDED_BYTES, STARTED, Ended, Query, out_of_memory

_CHUNK_BYTES: Final = 256 * 1024
_EXITS_WITHIN_S: Final = 5
log = structlog.get_logger(__name__)
T = TypeVar("T")


class QueryProcess:
    """Runs a query; what its result has is read in chunks.

    Args:
        context: starts the process.
        threads: where the calls that block are made.
        query: what to run.
    """

    def __init__(self, context: ForkServerContext, threads: Executor, query: Query) -> None:
        self._context = context
        self._threads = threads
        self._query = query
        self._data, self._data_end = context.Pipe(duplex=False)
        self._control, self._control_end = context.Pipe(duplex=False)
        self._process: BaseProcess | None = None
        self._was_killed = False

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(self._in_thread(self._start))
        try:
            await asyncio.shield(starting)
        except BaseException:
            # A thread goes on when its caller is cancelled, and must not leave a process behind.
            await asyncio.wait({starting})
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        # Shielded: a cancelled query must not leave its process or folder behind.
        await asyncio.shield(asyncio.ensure_future(self._in_thread(self._remove)))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the result until its end, or until the process has died."""
        while chunk := await self._in_thread(lambda: os.read(self._data.fileno(), _CHUNK_BYTES)):
            yield chunk

    async def ended(self) -> Ended:
        """Return how the query ended; called after the last chunk.

        Raises:
            QueryRefused: it failed.
        """
        try:
            ended = Ended.decode(await self._in_thread(lambda: self._control.recv_bytes(MAX_ENDED_BYTES)))
        except (EOFError, OSError, ValueError):
            ended = await self._in_thread(self._died)
        if ended.problem:
            raise QueryRefused(ended.problem, ended.code)
        return ended

    def kill(self) -> None:
        """End the process now; reading it then comes to an end."""
        self._was_killed = True
        if self._process is not None:
            with suppress(ValueError):  # its end was awaited and its handle closed in the meantime
                self._process.kill()

    def _start(self) -> None:
        arguments = (self._query, self._data_end, self._control_end)
        process = self._context.Process(target=worker.run, args=arguments, daemon=True)
        try:
            process.start()
        except (EOFError, OSError) as error:
            # The process that the others are forked from was killed; the next start starts it again.
            log.warning("query_process_not_started", error=str(error) or type(error).__name__)
            raise QueryRefused("no process could be started for the query: send it again", 503) from error
        finally:
            # Only the process may hold these ends: reading then ends with it.
            self._data_end.close()
            self._control_end.close()
        self._process = process
        with suppress(EOFError, OSError):  # it died: reading its result says so
            self._control.recv_bytes(len(STARTED))

    def _died(self) -> Ended:
        """Return why a process ended without a word."""
        code = None
        if self._process is not None:
            self._process.join(_EXITS_WITHIN_S)
            code = self._process.exitcode
        if self._was_killed:
            return Ended("the importer is stopping: send the query again", 503)
        # Memory that a library needs and does not get ends a process by a signal.
        if code is not None and code < 0:
            return Ended(out_of_memory(self._query.memory_mb), 400)
        log.error("query_process_failed", exit_code=code, query=self._query.text[:200])
        return Ended("the process of the query failed; the importer's log has its error", 500)

    def _remove(self) -> None:
        if self._process is not None:
            self._process.join()
            self._process.close()
        self._data.close()
        self._control.close()
        rmtree(self._query.scratch, ignore_errors=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
