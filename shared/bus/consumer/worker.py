"""The one consumer loop: takes a stage's commands by priority and turns outcomes into acks.

Ack only after the handler returned, that is, after its effect is durable. While it runs, the broker hears
three times within ``ack_wait`` that work goes on. ``Transient`` brings the message back after a growing
delay, ``Deferred`` without counting the attempt; ``Terminal`` and the last attempt leave a dead letter.

Pulls are immediate (``no_wait``) and never linger: a core subscription to the stage's subjects rings when a
command is published, and a slow poll finds redeliveries. So a lost connection leaves no pull to wait out, and
a worker holds no more than its free slots.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.consumer import dead_letters, scheduling
from shared.bus.consumer.attempts import Attempts, Retries, Tally
from shared.bus.envelope import COMMANDS, decode
from shared.bus.messages import Command, Job, JobFailed, JobReplayed, JobRequested
from shared.bus.streams import job_consumer
from shared.bus.subjects import Priority, Stage
from shared.errors import (
    BrokerUnavailable,
    Deferred,
    GexlakeError,
    MalformedMessage,
    Terminal,
    Transient,
)
from shared.process.redaction import redact

POLL_S: Final = 1.0
PULL_TIMEOUT_S: Final = 2.0
MAX_ERROR_LENGTH: Final = 1024

log = structlog.get_logger(__name__)
Handler = Callable[[Any], Awaitable[None]]


class Worker:
    """Does the commands of one stage, several at a time.

    Args:
        bus: the connection.
        stage: whose commands.
        handle: does one command; it returns once the effect is durable.
        slots: how many at once.
        retries: when to try again.
    """

    def __init__(self, bus: Bus, stage: Stage, handle: Handler, *, slots: int, retries: Retries) -> None:
        self._bus = bus
        self._stage = stage
        self._handle = handle
        self._slots = slots
        self._retries = retries
        self._attempts = Attempts(bus, stage)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._turn = 0

    @property
    def busy(self) -> int:
        """How many messages are in hand."""
        return len(self._in_hand)

    async def run(self, stop: asyncio.Event, drain_timeout_s: float) -> None:
        """Work until ``stop`` is set, then finish what is in hand or give it back to the broker."""
        self._bus.on_reconnect(self._wake.set)
        doorbell = await self._bus.client.subscribe(subjects.commands(self._stage), cb=self._ring)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                await self._take_what_is_there(stop)
                if not stop.is_set():
                    await self._sleep_until_woken()
        finally:
            stopping.cancel()
            with suppress(BrokerUnavailable), translate_errors("stop listening for commands"):
                await doorbell.unsubscribe()
            await self._drain(drain_timeout_s)

    async def _ring(self, _: Msg) -> None:
        self._wake.set()

    async def _sleep_until_woken(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()

    async def _take_what_is_there(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            message = await self._next_message()
            if message is None:
                return
            task = asyncio.create_task(self._work_on(message))
            self._in_hand.add(task)
            task.add_done_callback(self._put_down)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._wake.set()

    async def _next_message(self) -> Msg | None:
        may = scheduling.allowed(self._slots - len(self._in_hand), self._slots)
        for priority in scheduling.order(self._turn):
            if priority in may and (message := await self._pull(priority)) is not None:
                self._turn += 1
                return message
        return None

    async def _pull(self, priority: Priority) -> Msg | None:
        durable = subjects.durable(self._stage, priority)
        request = json.dumps({"batch": 1, "no_wait": True}).encode()
        try:
            with translate_errors(f"pull from {durable}"):
                # A pulled message keeps its own subject: the new style could not tell whose reply it is.
                message = await self._bus.client.request(
                    subjects.next_command(self._stage, priority),
                    request,
                    timeout=PULL_TIMEOUT_S,
                    old_style=True,
                )
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, NoRespondersError) and self._bus.is_connected:
                await self._restore_consumer(priority)
            return None
        return None if (message.headers or {}).get("Status") else message

    async def _restore_consumer(self, priority: Priority) -> None:
        log.warning("consumer_missing", consumer=subjects.durable(self._stage, priority))
        try:
            with translate_errors("restore a consumer"):
                await self._bus.js.add_consumer(
                    subjects.JOBS, job_consumer(self._stage, priority, self._bus.ack_wait_s)
                )
        except (BrokerUnavailable, NotFoundError) as error:
            # Without its stream there is nothing to consume: a service that is started anew creates it.
            log.warning("consumer_not_restored", error=str(error))

    async def _work_on(self, message: Msg) -> None:
        heartbeat = asyncio.create_task(_say_in_progress(message, self._bus.ack_wait_s / 3))
        try:
            await self._decide(message)
        except BrokerUnavailable as error:
            # Unacknowledged, the message comes back by itself once the broker does.
            log.warning("outcome_not_recorded", subject=message.subject, error=str(error))
        except asyncio.CancelledError:
            await _settle(message, "nak")
            raise
        except Exception:
            log.exception("message_not_settled", subject=message.subject)
        finally:
            heartbeat.cancel()

    async def _decide(self, message: Msg) -> None:
        try:
            command = self._read(message)
        except MalformedMessage as error:
            await dead_letters.publish(self._bus, message, error)
            log.warning("message_malformed", subject=message.subject, error=str(error))
            await _settle(message, "term")
            return
        with structlog.contextvars.bound_contextvars(
            job_id=str(command.job.job_id), generation=command.job.generation
        ):
            await self._attempt(message, command)

    def _read(self, message: Msg) -> Command:
        payload = decode(message.subject, message.data).open(message.subject)
        if not isinstance(payload, COMMANDS[self._stage]):
            raise MalformedMessage(
                message.subject, f"{payload.TYPE} is no command of the {self._stage} stage"
            )
        return payload

    async def _attempt(self, message: Msg, command: Command) -> None:
        superseded, given_up = await asyncio.gather(
            is_superseded(self._bus, command.job), self._attempts.is_given_up(command)
        )
        if superseded:
            log.info("job_superseded")
            await _settle(message, "ack")
            return
        if given_up:
            await _settle(message, "term")
            return
        try:
            await self._attempts.begin(command)
            await self._handle(command)
        except BrokerUnavailable:
            raise
        except Deferred as error:
            await self._put_off(message, command, error)
        except Terminal as error:
            tally = await self._attempts.tally(command)
            await self._give_up(message, command, error, tally.with_failure())
        except Transient as error:
            await self._try_again(message, command, error)
        except Exception as error:
            log.exception("unexpected_error")
            await self._try_again(message, command, error)
        else:
            await _settle(message, "ack")

    async def _put_off(self, message: Msg, command: Command, error: Deferred) -> None:
        tally = (await self._attempts.tally(command)).with_wait()
        delay_s = error.retry_after_s
        if delay_s is None:
            delay_s = self._retries.after_waiting(tally.waits, error.max_retry_delay_s)
        await self._bus.publish_event(self._failed(command, error, tally, final=False))
        log.warning("attempt_put_off", error=_text(error), waits=tally.waits, retry_in_s=delay_s)
        await _settle(message, "nak", delay_s)

    async def _try_again(self, message: Msg, command: Command, error: Exception) -> None:
        tally = (await self._attempts.tally(command)).with_failure()
        asked_s = error.retry_after_s if isinstance(error, Transient) else None
        delay_s = self._retries.after(tally.failures, asked_s)
        if delay_s is None:
            then = f"; given up after {tally.failures} failed attempts: replay the job when that is mended"
            await self._give_up(message, command, error, tally, then)
            return
        then = f"; it is tried again after {delay_s:.0f} s"
        await self._bus.publish_event(self._failed(command, error, tally, then, final=False))
        log.warning("attempt_failed", error=_text(error), failures=tally.failures, retry_in_s=delay_s)
        await _settle(message, "nak", delay_s)

    async def _give_up(
        self, message: Msg, command: Command, error: Exception, tally: Tally, then: str = ""
    ) -> None:
        letter = await dead_letters.publish(self._bus, message, error)
        failed = self._failed(command, error, tally, then, final=True)
        await self._bus.publish_event(failed.model_copy(update={"dead_letter_seq": letter.seq}))
        log.error("job_failed", error=_text(error), failures=tally.failures, dead_letter=letter.seq)
        await _settle(message, "term")

    def _failed(
        self, command: Command, error: Exception, tally: Tally, then: str = "", *, final: bool
    ) -> JobFailed:
        field = error.field if isinstance(error, GexlakeError) else None
        return JobFailed(
            job=command.job,
            stage=self._stage,
            failures=tally.failures,
            waits=tally.waits,
            final=final,
            error=_text(error, then),
            field=field,
        )

    async def _drain(self, timeout_s: float) -> None:
        if not self._in_hand:
            return
        _, late = await asyncio.wait(self._in_hand, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def is_superseded(bus: Bus, job: Job) -> bool:
    """Tell whether the job was asked for again, so that this generation of it is not wanted any more.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    asked_again = await asyncio.gather(
        *(bus.last_event(kind, job.job_id) for kind in (JobRequested, JobReplayed))
    )
    return any(fact is not None and job.is_older_than(fact.job) for fact in asked_again)


def _text(error: Exception, then: str = "") -> str:
    text = str(error) if isinstance(error, GexlakeError) else f"unexpected {type(error).__name__}: {error}"
    return redact(text)[: MAX_ERROR_LENGTH - len(then)] + then


async def _say_in_progress(message: Msg, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            with translate_errors("say that work goes on"):
                await message.in_progress()
        except BrokerUnavailable as error:
            log.debug("heartbeat_lost", error=str(error))


async def _settle(message: Msg, verdict: str, delay_s: float = 0) -> None:
    """Tell the broker the outcome. An ack that is lost only brings back a message whose work is done."""
    try:
        with translate_errors(f"{verdict} a message"):
            if verdict == "ack":
                await message.ack_sync(timeout=PULL_TIMEOUT_S)
            elif verdict == "nak":
                await message.nak(delay=delay_s)
            else:
                await message.term()
    except BrokerUnavailable as error:
        log.warning("outcome_not_heard", verdict=verdict, error=str(error))
