"""JOBS and its consumers, for the duty that requeues stranded jobs."""

from __future__ import annotations

from nats.js.errors import NotFoundError

from gexlake.api.jobs import Priority, Stage
from services.janitor.duties.requeue_stranded_jobs import CommandPosition, ConsumerProgress
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.envelope import decode
from shared.errors import MalformedMessage


class JobQueues:
    """Reads JOBS and the progress of its consumers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def consumers(self) -> dict[str, ConsumerProgress]:
        """Return the progress of every stage's consumers by name, without those that an operator deleted.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        names = [subjects.durable(stage, priority) for stage in Stage for priority in Priority]
        found = {name: await self._progress(name) for name in names}
        return {name: progress for name, progress in found.items() if progress is not None}

    async def stores(self, command: CommandPosition) -> bool:
        """Return whether JOBS holds the job's command at its sequence; a new stream counts from 1 again.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        with translate_errors(f"read {subjects.JOBS}"):
            try:
                message = await self._bus.js.get_msg(subjects.JOBS, seq=command.sequence)
            except NotFoundError:
                return False
        try:
            return decode(message.subject or "", message.data or b"").job_id == command.job_id
        except MalformedMessage:
            return False

    async def _progress(self, name: str) -> ConsumerProgress | None:
        with translate_errors(f"read the consumer {name}"):
            try:
                info = await self._bus.js.consumer_info(subjects.JOBS, name)
            except NotFoundError:
                return None
        return ConsumerProgress(
            delivered=info.delivered.stream_seq if info.delivered else 0,
            ack_floor=info.ack_floor.stream_seq if info.ack_floor else 0,
            to_deliver=info.num_pending or 0,
            unacknowledged=info.num_ack_pending or 0,
        )
