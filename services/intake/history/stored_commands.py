"""Read commands back from JOBS, or from their dead letters."""

from __future__ import annotations

from uuid import UUID

from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from gexlake.api.jobs import Stage
from services.intake.errors import Unprocessable
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.envelope import decode
from shared.bus.messages import Command
from shared.errors import MalformedMessage


async def read_command(bus: Bus, stream: str, sequence: int) -> Command | None:
    """Return the command at a place in JOBS or DEAD; None when nothing stands there any more.

    Raises:
        BrokerUnavailable: no answer in time.
        Unprocessable: something else than a command stands there.
    """
    message = await _read(bus, stream, sequence)
    if message is None:
        return None
    where = f"{stream} {sequence}"
    try:
        payload = decode(where, message.data or b"").open(where)
    except MalformedMessage as error:
        raise Unprocessable(None, "malformed", f"{error}; it cannot be replayed") from error
    if not isinstance(payload, Command):
        raise Unprocessable(None, "no_command", f"the message {where} is {payload.TYPE}, which is no command")
    return payload


async def read_command_of(bus: Bus, job_id: UUID, stage: Stage, sequence: int) -> Command | None:
    """Return a job's command from its place in JOBS, as EVENTS has it; None when it is not there.

    JOBS may have been created again since; its places then hold other messages.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    try:
        command = await read_command(bus, subjects.JOBS, sequence)
    except Unprocessable:
        return None
    if command is None or (command.job.job_id, command.STAGE) != (job_id, stage):
        return None
    return command


async def _read(bus: Bus, stream: str, sequence: int) -> RawStreamMsg | None:
    with translate_errors(f"read {stream}"):
        try:
            return await bus.js.get_msg(stream, seq=sequence)
        except NotFoundError:
            return None
