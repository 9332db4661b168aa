"""The last streamed message of each symbol in CHRONOX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nats.js.errors import NotFoundError

from gexlake.api.chronox.symbols import Phase
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.last_messages import last_messages

_FEW: Final = 20
"""So many messages are read one by one, as symbols come; for more, a consumer is faster."""


async def last_streamed(bus: Bus, symbols: frozenset[str]) -> Mapping[str, bytes]:
    """Return the last streamed messages, by subject; for some symbols there are none.

    Args:
        bus: the connection.
        symbols: of which; messages of others may be among them.

    Raises:
        BrokerUnavailable: no reply in time.
    """
    if len(symbols) > _FEW:
        streamed = subjects.all_chronox(Phase.STREAM)
        last = await last_messages(bus, subjects.CHRONOX, streamed, with_content=True)
        return {subject: stored.data for subject, stored in last.items()}
    found: dict[str, bytes] = {}
    for symbol in symbols:
        subject = subjects.chronox(Phase.STREAM, symbol)
        with translate_errors(f"read {subjects.CHRONOX}"):
            try:
                found[subject] = (await bus.js.get_last_msg(subjects.CHRONOX, subject)).data or b""
            except NotFoundError:
                continue
    return found
