"""Windows of messages: the next ones of each priority, of which one is taken and the others are returned.

The broker delivers returned messages again in the order of their return, before new ones. So its queue of
returned messages stays sorted, and a worker holds only what it works on: docs/adr/0044.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from gexlake.api.jobs import Priority, Stage
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.consumer import scheduling
from shared.bus.envelope import decode
from shared.bus.messages import Command
from shared.bus.streams import job_consumer
from shared.errors import BrokerUnavailable, MalformedMessage

PULL_TIMEOUT_S: Final = 2.0
_NO_RESPONDERS: Final = "503"
_PULL: Final = json.dumps({"batch": scheduling.WINDOW, "no_wait": True}).encode()
_MAX_KNOWN: Final = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A message in hand.

    Args:
        message: the message.
        deadline_s: in seconds since 1970; before all others for a message that cannot be read.
    """

    message: Msg
    deadline_s: float


class Windows:
    """Takes the messages of one stage, the most urgent first.

    Args:
        bus: the connection.
        stage: whose messages.
        slots: how many messages the worker works on at once.
    """

    def __init__(self, bus: Bus, stage: Stage, slots: int) -> None:
        self._bus = bus
        self._stage = stage
        self._slots = slots
        self._passed_over = 0
        self._deadlines: dict[int, float] = {}
        """By sequence in JOBS, of messages that were returned."""

    async def take(self, free_slots: int) -> Msg | None:
        """Return the message that a free slot works on next, or None when there is none for it."""
        allowed = scheduling.allowed(free_slots, self._slots)
        windows = await self._pull_all(allowed)
        turn = scheduling.choose(
            {priority: window[0].deadline_s for priority, window in windows.items()},
            self._bus.clock().timestamp(),
            free_slots=free_slots,
            slots=self._slots,
            passed_over=self._passed_over,
        )
        taken = windows[turn.priority].pop(0) if turn else None
        await self._give_back(windows)
        if turn is None or taken is None:
            return None
        self._passed_over = turn.passed_over
        return taken.message

    async def _pull_all(self, priorities: Collection[Priority]) -> dict[Priority, list[Waiting]]:
        ordered = [priority for priority in scheduling.URGENT_FIRST if priority in priorities]
        pulled = await asyncio.gather(*(self._pull(priority) for priority in ordered))
        return {
            priority: scheduling.by_deadline(
                (Waiting(message, self._deadline_s(message, priority)) for message in messages),
                lambda waiting: waiting.deadline_s,
            )
            for priority, messages in zip(ordered, pulled, strict=True)
            if messages
        }

    async def _pull(self, priority: Priority) -> list[Msg]:
        """Return the next messages of a priority; those before a lost connection if it was lost."""
        messages: list[Msg] = []
        inbox = self._bus.client.new_inbox()
        try:
            with translate_errors(f"pull from {subjects.durable(self._stage, priority)}"):
                arrived = await self._bus.client.subscribe(inbox)
                try:
                    await self._bus.client.publish(subjects.next_command(self._stage, priority), _PULL, inbox)
                    while len(messages) < scheduling.WINDOW:
                        message = await arrived.next_msg(timeout=PULL_TIMEOUT_S)
                        status = (message.headers or {}).get("Status")
                        if status == _NO_RESPONDERS and self._bus.is_connected:
                            await self._restore_consumer(priority)
                        if status:
                            break
                        messages.append(message)
                finally:
                    await arrived.unsubscribe()
        except BrokerUnavailable as error:
            log.debug("pull_failed", error=str(error))
        return messages

    async def _give_back(self, windows: dict[Priority, list[Waiting]]) -> None:
        """Return messages; those that cannot be returned are delivered again after ``ack_wait``."""
        if len(self._deadlines) > _MAX_KNOWN:
            self._deadlines.clear()
        try:
            with translate_errors("return messages"):
                for window in windows.values():
                    for waiting in window:
                        self._deadlines[waiting.message.metadata.sequence.stream] = waiting.deadline_s
                        await waiting.message.nak()
        except BrokerUnavailable as error:
            log.debug("messages_not_returned", error=str(error))

    def _deadline_s(self, message: Msg, priority: Priority) -> float:
        known = self._deadlines.pop(message.metadata.sequence.stream, None)
        if known is not None:
            return known
        try:
            command = decode(message.subject, message.data).open(message.subject)
        except MalformedMessage:
            return -math.inf
        if not isinstance(command, Command):
            return -math.inf
        if command.job.deadline is not None:
            return command.job.deadline.timestamp()
        return scheduling.deadline_s(priority, command.job.requested_at.timestamp())

    async def _restore_consumer(self, priority: Priority) -> None:
        log.warning("consumer_missing", consumer=subjects.durable(self._stage, priority))
        try:
            with translate_errors("restore a consumer"):
                await self._bus.js.add_consumer(
                    subjects.JOBS, job_consumer(self._stage, priority, self._bus.ack_wait_s)
                )
        except (BrokerUnavailable, NotFoundError) as error:
            # NotFoundError: JOBS is missing too; shared.bus.restoration creates it with its consumers.
            log.warning("consumer_not_restored", error=str(error))
