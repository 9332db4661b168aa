"""Publish to a stream in small atomic batches: many callers share one flush of the broker's disk.

A message waits up to ``WINDOW_S`` for others. The batch is stored as a whole or not at all (nats-server's
ADR-50), and each caller continues after its ack. The broker refuses a whole batch for one message id that it
has seen; its messages are then published one by one, and a duplicate counts as stored.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog

from shared.bus import subjects
from shared.bus.connection import STREAM_FULL, Bus, translate_errors
from shared.bus.feeds.live_messages import EncodedMessage, LiveMessage, encoded
from shared.errors import BrokerUnavailable, GexlakeError, StreamFull, Terminal

WINDOW_S: Final = 0.01
"""How long a message waits for others."""
ANSWER_WITHIN_S: Final = 1.5
"""When a caller stops waiting for the ack."""
MIN_BATCH: Final = 6
"""Fewer messages are published one by one: a batch costs the broker about five flushes, a message one."""
MAX_BATCH: Final = 256
"""The broker takes up to 1,000."""
MAX_BATCH_BYTES: Final = 1024 * 1024
MAX_IN_FLIGHT: Final = 2
"""Batches without an ack. The broker forgets an incomplete one after 10 s, and takes 50 at a time."""
MAX_WAITING: Final = 4096
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
MAX_MESSAGE_BYTES: Final = 1024 * 1024 - 4096
"""The broker's ``max_payload``, less room for headers."""
_REMEMBERED: Final = 16_384
log = structlog.get_logger(__name__)


class MessageTooLarge(Terminal):
    """A message is over what the broker takes.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"the message has {size} bytes; the broker takes at most {MAX_MESSAGE_BYTES}")


@dataclass(eq=False)
class _Entry:
    message: EncodedMessage
    callers: list[asyncio.Future[None]] = field(default_factory=list)
    enqueued_at_s: float = field(default_factory=time.monotonic)


class FeedPublisher:
    """Collects messages and publishes them.

    Args:
        require_bus: returns the connection, or raises ``BrokerUnavailable``.
        sent: called with the number of messages and the seconds of each exchange with the broker that
            succeeded.
        window_s: how long a message waits for others.
        answer_within_s: when a caller stops waiting for the ack.
        stream: which; it takes batches.
        max_batch: how many messages are published together; up to 1,000.
    """

    def __init__(
        self,
        require_bus: Callable[[], Bus],
        sent: Callable[[int, float], object] = lambda _size, _seconds: None,
        *,
        window_s: float = WINDOW_S,
        answer_within_s: float = ANSWER_WITHIN_S,
        stream: str = subjects.FEED,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._require_bus: Final = require_bus
        self._stream: Final = stream
        self._max_batch: Final = max_batch
        self._sent: Final = sent
        self._window_s: Final = window_s
        self._answer_within_s: Final = answer_within_s
        self._waiting: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._by_id: dict[str, _Entry] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._stored_ids: dict[str, None] = {}
        """Newest last: a message with one of these ids would make the broker refuse a batch."""

    async def publish(self, message: LiveMessage | EncodedMessage) -> None:
        """Return once the broker has the message on disk; the same content posted at once is one message.

        Raises:
            BrokerUnavailable: no ack in time, or too much waits for the broker; the same message may be
                published again.
            StreamFull: the stream is at its byte cap.
            MessageTooLarge: the broker takes no message of that size.
        """
        self._require_bus()
        entry = self._by_id.get(message.id) or self._enqueue(message)
        stored = asyncio.get_running_loop().create_future()
        entry.callers.append(stored)
        await stored

    def _enqueue(self, wanted: LiveMessage | EncodedMessage) -> _Entry:
        message = wanted if isinstance(wanted, EncodedMessage) else encoded(wanted)
        size = len(message.data)
        if size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(size)
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise BrokerUnavailable(f"publish to {self._stream}: too many messages wait")
        entry = _Entry(message)
        self._by_id[message.id] = entry
        self._waiting.append(entry)
        self._waiting_bytes += size
        if len(self._waiting) >= self._max_batch or self._waiting_bytes >= MAX_BATCH_BYTES:
            self._flush()
        elif len(self._waiting) == 1:
            self._timer = asyncio.get_running_loop().call_later(self._window_s, self._flush)
        return entry

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while len(self._sending) < MAX_IN_FLIGHT and (entries := self._take()):
            task = asyncio.create_task(self._send(entries))
            self._sending.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if self._waiting and self._timer is None:
            self._flush()

    def _take(self) -> list[_Entry]:
        """Remove the oldest waiting messages, as many as fit a batch; those whose time is up are dropped."""
        entries: list[_Entry] = []
        size, expired_s = 0, time.monotonic() - self._answer_within_s
        while self._waiting and len(entries) < self._max_batch:
            entry = self._waiting[0]
            if entries and size + len(entry.message.data) > MAX_BATCH_BYTES:
                break
            self._waiting.popleft()
            self._waiting_bytes -= len(entry.message.data)
            if entry.enqueued_at_s <= expired_s:
                self._settle([entry], BrokerUnavailable(f"publish to {self._stream}"))
            else:
                entries.append(entry)
                size += len(entry.message.data)
        return entries

    async def _send(self, entries: Sequence[_Entry]) -> None:
        """Publish messages; each is settled before the oldest one's time is up, whatever happens."""
        left_s = self._answer_within_s - (time.monotonic() - entries[0].enqueued_at_s)
        error: GexlakeError = BrokerUnavailable(f"publish to {self._stream}")
        try:
            with translate_errors(f"publish to {self._stream}", self._stream):
                async with asyncio.timeout(left_s):
                    await self._exchange(self._require_bus(), entries)
        except GexlakeError as caught:
            error = caught
        finally:
            self._settle(entries, error)

    async def _exchange(self, bus: Bus, entries: Sequence[_Entry]) -> None:
        known = [entry for entry in entries if entry.message.id in self._stored_ids]
        new = [entry for entry in entries if entry.message.id not in self._stored_ids]
        if len(new) >= MIN_BATCH and await self._send_batch(bus, new):
            new = []
        await asyncio.gather(*(self._send_one(bus, entry) for entry in [*new, *known]))

    async def _send_batch(self, bus: Bus, entries: Sequence[_Entry]) -> bool:
        """Publish messages as one batch; False when the broker refuses it for a reason of its own.

        Raises:
            StreamFull: the stream is at its byte cap.
        """
        batch_id, client, began_s = uuid4().hex, bus.client, time.monotonic()
        numbered = zip(itertools.count(1), entries, strict=False)
        headers = (_headers(entry, batch_id, number) for number, entry in numbered)
        *earlier, last = zip(entries, headers, strict=True)
        for entry, header in earlier:
            await client.publish(entry.message.subject, entry.message.data, headers=header)
        entry, header = last
        reply = await client.request(
            entry.message.subject,
            entry.message.data,
            timeout=self._answer_within_s,
            headers={**header, "Nats-Batch-Commit": "1"},
        )
        problem = json.loads(reply.data).get("error")
        if problem is None:
            self._acked(entries, began_s)
            return True
        if problem.get("err_code") == STREAM_FULL:
            raise StreamFull(self._stream)
        log.info("batch_refused", messages=len(entries), reason=problem.get("description"))
        return False

    async def _send_one(self, bus: Bus, entry: _Entry) -> None:
        began_s = time.monotonic()
        try:
            await bus.publish(entry.message.subject, entry.message.data, self._stream, entry.message.id)
        except GexlakeError as error:
            self._settle([entry], error)
        else:
            self._acked([entry], began_s)

    def _acked(self, entries: Sequence[_Entry], began_s: float) -> None:
        self._sent(len(entries), time.monotonic() - began_s)
        for entry in entries:
            self._stored_ids[entry.message.id] = None
        while len(self._stored_ids) > _REMEMBERED:
            del self._stored_ids[next(iter(self._stored_ids))]
        self._settle(entries)

    def _settle(self, entries: Sequence[_Entry], error: GexlakeError | None = None) -> None:
        """Let the callers go on; messages that are settled stay as they are."""
        for entry in entries:
            if self._by_id.get(entry.message.id) is entry:
                del self._by_id[entry.message.id]
                for caller in entry.callers:
                    if caller.done():  # it has left
                        continue
                    if error is None:
                        caller.set_result(None)
                    else:
                        caller.set_exception(error)


def _headers(entry: _Entry, batch_id: str, number: int) -> dict[str, str]:
    return {
        "Nats-Msg-Id": entry.message.id,
        "Nats-Batch-Id": batch_id,
        "Nats-Batch-Sequence": str(number),
    }
