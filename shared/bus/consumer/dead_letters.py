"""Dead letters: the original message, with headers that hold the reason of the permanent failure."""

from __future__ import annotations

from nats.aio.msg import Msg
from nats.js.api import PubAck

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.errors import GexlakeError
from shared.process.redaction import redact

REASON = "Gex-Reason"
ERROR = "Gex-Error"
FIELD = "Gex-Field"
STREAM_SEQ = "Gex-Stream-Seq"
_MAX_REASON_LENGTH = 1024


async def publish(bus: Bus, message: Msg, error: Exception) -> PubAck:
    """Publish the dead letter of a message and await its ack.

    Raises:
        BrokerUnavailable: no ack in time.
    """
    sequence = message.metadata.sequence.stream
    reason = " ".join(redact(str(error) or type(error).__name__).split())[:_MAX_REASON_LENGTH]
    headers = {
        **{name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")},
        REASON: reason,
        ERROR: type(error).__name__,
        STREAM_SEQ: str(sequence),
    }
    field = error.field if isinstance(error, GexlakeError) else None
    if field:
        headers[FIELD] = field
    msg_id = f"{message.metadata.stream}:{sequence}"
    return await bus.publish(subjects.dead(message.subject), message.data, subjects.DEAD, msg_id, headers)
