"""Files that clients post inline: kept in BODIES, packed, until the fetcher stages them.

A command in JOBS names its file by the sequence in BODIES and by its checksum. So commands stay small, and
dead letters and replays refer to the same file: docs/adr/0031.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final
from uuid import UUID

from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors

MAX_PACKED_BYTES: Final = 900 * 1024
"""The broker refuses messages of more than 1 MiB."""


def pack(content: bytes) -> bytes:
    """Return a file as it is kept."""
    return zlib.compress(content)


async def publish(bus: Bus, job_id: UUID, packed: bytes, sha256: str) -> int:
    """Store a packed file and return its sequence in BODIES; that of the first copy, if it is stored already.

    Raises:
        BrokerUnavailable: no ack in time.
        StreamFull: BODIES is at its byte cap.
    """
    ack = await bus.publish(subjects.body(job_id), packed, subjects.BODIES, f"{job_id}:{sha256}")
    return ack.seq


async def read(bus: Bus, sequence: int, sha256: str, max_bytes: int) -> bytes | None:
    """Return a file; None if it is no longer there, is another one, or is larger than ``max_bytes``.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    try:
        with translate_errors(f"read {subjects.BODIES}"):
            message = await bus.js.get_msg(subjects.BODIES, seq=sequence)
    except NotFoundError:
        return None
    try:
        content = zlib.decompressobj().decompress(message.data or b"", max_bytes)
    except zlib.error:
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None
