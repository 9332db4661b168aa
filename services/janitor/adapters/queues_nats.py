"""JOBS and its consumers, as the requeueing duty sees them."""

from __future__ import annotations

from nats.js.errors import NotFoundError

from gexlake.api.jobs import Priority, Stage
from services.janitor.duties.requeue_stranded_jobs import Command, ConsumerProgress
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.envelope import decode
from shared.errors import MalformedMessage


class JobQueues:
    """Asks the broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def consumers(self) -> dict[str, ConsumerProgress]:
        """Return the progress of every stage's consumers; one that an operator deleted is left out.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        names = [subjects.durable(stage, priority) for stage in Stage for priority in Priority]
        found = {name: await self._progress(name) for name in names}
        return {name: progress for name, progress in found.items() if progress is not None}

    async def holds(self, command: Command) -> bool:
        """Tell whether JOBS holds the job's command at its place: numbers begin anew in a new stream.

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
        with translate_errors(f"ask for the consumer {name}"):
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
