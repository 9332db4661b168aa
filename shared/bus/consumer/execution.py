"""Run one command and settle its message: the only place that turns an error's type into a decision.

    success              ack, after the effect is durable
    Deferred             nak with a growing delay; the attempt does not count
    Transient, a bug     nak with a growing delay; the last allowed attempt is treated as Terminal
    Terminal             dead letter, event, term
    BrokerUnavailable    nothing: the unacknowledged message is delivered again

While the handler runs, an in-progress heartbeat is sent three times within ``ack_wait``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import structlog
from nats.aio.msg import Msg

from gexlake.api.jobs import Stage
from shared.bus.connection import Bus, translate_errors
from shared.bus.consumer import dead_letters
from shared.bus.consumer.attempts import AttemptCounts, Attempts, Retries
from shared.bus.envelope import COMMANDS, decode
from shared.bus.messages import Command, JobFailed
from shared.errors import (
    BrokerUnavailable,
    Deferred,
    GexlakeError,
    MalformedMessage,
    Terminal,
    Transient,
)
from shared.process.redaction import redact

ACK_TIMEOUT_S: Final = 2.0
MAX_ERROR_LENGTH: Final = 1024

log = structlog.get_logger(__name__)
Handler = Callable[[Any], Awaitable[None]]


class Execution:
    """Executes the commands of one stage, one message a call.

    Args:
        bus: the connection.
        stage: whose commands.
        handle: executes one command; it returns once the effect is durable.
        retries: when to try again.
    """

    def __init__(self, bus: Bus, stage: Stage, handle: Handler, retries: Retries) -> None:
        self._bus = bus
        self._stage = stage
        self._handle = handle
        self._retries = retries
        self._attempts = Attempts(bus, stage)

    async def run(self, message: Msg) -> None:
        """Execute the command in a message and settle the message; only a cancellation is raised."""
        heartbeat = asyncio.create_task(_send_heartbeats(message, self._bus.ack_wait_s / 3))
        try:
            await self._decide(message)
        except BrokerUnavailable as error:
            # The message is not acknowledged, so the broker delivers it again.
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
        expected = COMMANDS[self._stage]
        if not isinstance(payload, expected):
            raise MalformedMessage(message.subject, f"expected {expected.TYPE}, got {payload.TYPE}")
        return payload

    async def _attempt(self, message: Msg, command: Command) -> None:
        record = await self._attempts.read(command)
        if record.obsolete is None and record.counts.has_failed_permanently:
            await _settle(message, "term")  # only the ``term`` of its message was lost
            return
        try:
            record = await self._attempts.begin(command, record)
            if record.obsolete is not None:
                log.info(record.obsolete)
            else:
                await self._handle(command)
        except BrokerUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, Terminal | Transient):
                log.exception("unexpected_error")
            await self._settle_failure(message, command, error, record.starts)
        else:
            await _settle(message, "ack")

    async def _settle_failure(self, message: Msg, command: Command, error: Exception, start: int) -> None:
        # Read once: of two deliveries at a time, the later one finds the failure, or publishes the same one.
        counts = replace(await self._attempts.counts(command), start=start)
        if counts.has_failed_permanently:
            await _settle(message, "term")
        elif isinstance(error, Deferred):
            await self._defer(message, command, error, counts.with_deferral())
        elif isinstance(error, Terminal):
            await self._fail_permanently(message, command, error, counts.with_failure())
        else:
            await self._retry(message, command, error, counts.with_failure())

    async def _defer(self, message: Msg, command: Command, error: Deferred, counts: AttemptCounts) -> None:
        delay_s = error.retry_after_s
        if delay_s is None:
            delay_s = self._retries.delay_after_deferrals(counts.deferrals, error.max_retry_delay_s)
        await self._bus.publish_event(self._failed(command, error, counts, final=False))
        log.warning("attempt_deferred", error=_text(error), deferrals=counts.deferrals, retry_in_s=delay_s)
        await _settle(message, "nak", delay_s)

    async def _retry(self, message: Msg, command: Command, error: Exception, counts: AttemptCounts) -> None:
        requested_s = error.retry_after_s if isinstance(error, Transient) else None
        delay_s = self._retries.delay_after_failures(counts.failures, requested_s)
        if delay_s is None:
            suffix = (
                f"; failed permanently after {counts.failures} attempts: fix the cause and replay the job"
            )
            await self._fail_permanently(message, command, error, counts, suffix)
            return
        suffix = f"; the next attempt is in {delay_s:.0f} s"
        await self._bus.publish_event(self._failed(command, error, counts, suffix, final=False))
        log.warning("attempt_failed", error=_text(error), failures=counts.failures, retry_in_s=delay_s)
        await _settle(message, "nak", delay_s)

    async def _fail_permanently(
        self, message: Msg, command: Command, error: Exception, counts: AttemptCounts, suffix: str = ""
    ) -> None:
        letter = await dead_letters.publish(self._bus, message, error)
        failed = self._failed(command, error, counts, suffix, final=True)
        await self._bus.publish_event(failed.model_copy(update={"dead_letter_seq": letter.seq}))
        log.error("job_failed", error=_text(error), failures=counts.failures, dead_letter=letter.seq)
        await _settle(message, "term")

    def _failed(
        self, command: Command, error: Exception, counts: AttemptCounts, suffix: str = "", *, final: bool
    ) -> JobFailed:
        field = error.field if isinstance(error, GexlakeError) else None
        return JobFailed(
            job=command.job,
            stage=self._stage,
            failures=counts.failures,
            waits=counts.deferrals,
            start=counts.start,
            final=final,
            error=_text(error, suffix),
            field=field,
            refused=isinstance(error, Terminal) and error.is_refusal,
        )


def _text(error: Exception, suffix: str = "") -> str:
    text = str(error) if isinstance(error, GexlakeError) else f"unexpected {type(error).__name__}: {error}"
    return redact(text)[: MAX_ERROR_LENGTH - len(suffix)] + suffix


async def _send_heartbeats(message: Msg, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            with translate_errors("send an in-progress heartbeat"):
                await message.in_progress()
        except BrokerUnavailable as error:
            log.debug("heartbeat_lost", error=str(error))


async def _settle(message: Msg, verdict: str, delay_s: float = 0) -> None:
    """Send the outcome to the broker; after a lost ack the message is redelivered and its work found done."""
    try:
        with translate_errors(f"{verdict} a message"):
            if verdict == "ack":
                await message.ack_sync(timeout=ACK_TIMEOUT_S)
            elif verdict == "nak":
                await message.nak(delay=delay_s)
            else:
                await message.term()
    except BrokerUnavailable as error:
        log.warning("outcome_not_delivered", verdict=verdict, error=str(error))
