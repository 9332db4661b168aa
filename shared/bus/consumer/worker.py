"""The consumer loop: take a stage's commands by priority and deadline, and run several at a time.

Pulls are immediate (``no_wait``) and never linger. Between pulls the worker waits for its wake-up
subscription, which receives every command when it is published, or for a poll, which finds redeliveries. So a
lost connection leaves no pull to wait out. Which message is next is decided in
``shared.bus.consumer.windows``, and its outcome in ``shared.bus.consumer.execution``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from nats.aio.msg import Msg

from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.execution import Execution, Handler
from shared.bus.consumer.windows import Windows
from shared.errors import BrokerUnavailable

POLL_S: Final = 1.0
_PULL_AGAIN_S: Final = 0.05
"""After a command was published and none was found: it reaches subscribers before it is stored."""

log = structlog.get_logger(__name__)


class Worker:
    """Runs the commands of one stage, several at a time.

    Args:
        bus: the connection.
        stage: whose commands.
        handle: executes one command; it returns once the effect is durable.
        slots: how many commands run at once.
        retries: when to try again.
    """

    def __init__(self, bus: Bus, stage: Stage, handle: Handler, *, slots: int, retries: Retries) -> None:
        self._bus = bus
        self._stage = stage
        self._slots = slots
        self._execution = Execution(bus, stage, handle, retries)
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._was_published = False
        self._windows = Windows(bus, stage, slots)

    @property
    def busy(self) -> int:
        """How many messages are being worked on."""
        return len(self._running)

    async def run(self, stop: asyncio.Event, drain_timeout_s: float) -> None:
        """Work until ``stop`` is set, then finish the running commands or return them to the broker."""
        self._bus.on_reconnect(self._wake.set)
        wake_up = await self._bus.client.subscribe(subjects.commands(self._stage), cb=self._on_command)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                was_published, self._was_published = self._was_published, False
                has_found = await self._pull_available(stop)
                if not stop.is_set():
                    await self._wait_for_wake_up(_PULL_AGAIN_S if was_published and not has_found else POLL_S)
        finally:
            stopping.cancel()
            with suppress(BrokerUnavailable), translate_errors("end the wake-up subscription"):
                await wake_up.unsubscribe()
            await self._drain(drain_timeout_s)

    async def _on_command(self, _: Msg) -> None:
        self._was_published = True
        self._wake.set()

    async def _wait_for_wake_up(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._wake.wait()

    async def _pull_available(self, stop: asyncio.Event) -> bool:
        """Start what there are slots for, and return whether there was anything."""
        has_found = False
        while not stop.is_set():
            message = await self._windows.take(self._slots - len(self._running))
            if message is None:
                break
            has_found = True
            task = asyncio.create_task(self._execution.run(message))
            self._running.add(task)
            task.add_done_callback(self._on_finished)
        return has_found

    def _on_finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _drain(self, timeout_s: float) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
