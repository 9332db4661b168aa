"""Post records, several at a time, each until it is accepted or refused for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx

from gexlake.cli.errors import CommandFailed, IntakeUnreachable, RequestRefused

IN_FLIGHT: Final = 16
"""How many records are posted at a time; so many neighbours may change places under way."""
PATIENCE_S: Final = 60.0
"""How long nothing may be accepted before posting fails."""
_PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_OF_ONE_RECORD: Final = frozenset({400, 413, 422})
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})


@dataclass
class PostCounts:
    """What became of the records.

    Args:
        posted: how many were accepted, duplicates among them.
        refused: how many were refused for good.
        refusal: why the first one was.
        retries: how often a record was sent again.
        readers: how many readers of replays there were at most.
    """

    posted: int = 0
    refused: int = 0
    refusal: str = ""
    retries: int = 0
    readers: int = 0


@dataclass
class Poster:
    """Posts records; those that are to be tried again hold up the others.

    Args:
        client: of the gexlake that gets them.
        stream_only: whether records go to readers of replays alone.
        clock: seconds that only grow.
        pause: waits so many seconds.
        in_flight: how many at a time.
    """

    client: httpx.AsyncClient
    stream_only: bool = False
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Any] = asyncio.sleep
    in_flight: int = IN_FLIGHT
    counts: PostCounts = field(default_factory=PostCounts)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.in_flight)
        self._group = asyncio.TaskGroup()
        self._accepted_at = self.clock()
        self._resume_at = 0.0

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._accepted_at = self.clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the records that are under way.

        Raises:
            CommandFailed: one of them cannot be posted.
        """
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            raise next(
                (each for each in group.exceptions if isinstance(each, CommandFailed)), group
            ) from None

    async def post(self, body: bytes) -> None:
        """Start to post a record, once there is a place for it."""
        await self._slots.acquire()
        self._group.create_task(self._post(body))

    async def _post(self, body: bytes) -> None:
        try:
            attempt = 0
            while (pause_s := await self._attempt(body, attempt)) is not None:
                attempt += 1
                self.counts.retries += 1
                self._resume_at = max(self._resume_at, self.clock() + pause_s)
        finally:
            self._slots.release()

    async def _attempt(self, body: bytes, attempt: int) -> float | None:
        """Send a record once; return after how many seconds to try again, or None."""
        while (wait_s := self._resume_at - self.clock()) > 0:
            await self.pause(wait_s)
        pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
        try:
            response = await self.client.post(
                "/gex?stream_only=true" if self.stream_only else "/gex",
                content=body,
                headers={"Content-Type": "application/json"},
            )
        except httpx.TransportError as error:
            if self._is_out_of_patience():
                url = str(self.client.base_url).rstrip("/")
                raise IntakeUnreachable(url, str(error) or type(error).__name__) from error
            return pause_s
        if response.is_success:
            self._accepted_at = self.clock()
            self.counts.posted += 1
            if self.stream_only:
                self.counts.readers = max(self.counts.readers, _readers(response))
            return None
        status, why = response.status_code, _why(response)
        if status in _OF_ONE_RECORD:
            self.counts.refused += 1
            self.counts.refusal = self.counts.refusal or why
            return None
        is_limited = status == httpx.codes.TOO_MANY_REQUESTS
        if status not in _TRY_AGAIN or (self._is_out_of_patience() and not is_limited):
            raise RequestRefused(status, why)
        return _retry_after_s(response, pause_s)

    def _is_out_of_patience(self) -> bool:
        return self.clock() - self._accepted_at > PATIENCE_S


def _readers(response: httpx.Response) -> int:
    try:
        return int(response.json()["readers"])
    except (ValueError, KeyError, TypeError):
        return 0


def _why(response: httpx.Response) -> str:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = ""
    return str(message) or f"{response.url} answers with status {response.status_code}"


def _retry_after_s(response: httpx.Response, otherwise_s: float) -> float:
    try:
        return max(0.0, min(float(response.headers["Retry-After"]), PATIENCE_S))
    except (KeyError, ValueError):
        return otherwise_s
