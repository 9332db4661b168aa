"""The order in which nats-server delivers again: what a window of messages sorted by deadline rests on."""

from __future__ import annotations

import json

from nats.aio.msg import Msg

from gexlake.api.jobs import Priority, Stage
from shared.bus import subjects
from shared.bus.connection import Bus

STAGE, PRIORITY = Stage.FETCH, Priority.LOW


async def pull(bus: Bus, batch: int) -> list[Msg]:
    """Return the messages of one immediate pull."""
    inbox = bus.client.new_inbox()
    pulled: list[Msg] = []
    subscription = await bus.client.subscribe(inbox)
    request = json.dumps({"batch": batch, "no_wait": True}).encode()
    await bus.client.publish(subjects.next_command(STAGE, PRIORITY), request, inbox)
    while len(pulled) < batch:
        message = await subscription.next_msg(timeout=5)
        if (message.headers or {}).get("Status"):
            break
        pulled.append(message)
    await subscription.unsubscribe()
    return pulled


def places(messages: list[Msg]) -> list[int]:
    return [message.metadata.sequence.stream for message in messages]


async def publish(bus: Bus, count: int) -> None:
    for number in range(count):
        await bus.js.publish(subjects.command(STAGE, PRIORITY, f"T{number}"), b"{}")


async def test_returned_messages_come_again_in_the_order_of_their_return_before_new_ones(bus: Bus) -> None:
    await publish(bus, 10)
    window = await pull(bus, 4)
    assert places(window) == [1, 2, 3, 4]
    first, *others = [window[2], window[3], window[0], window[1]]
    await first.ack_sync()
    for message in others:
        await message.nak()
    await bus.client.flush()
    again = await pull(bus, 5)
    assert places(again) == [4, 1, 2, 5, 6]


async def test_messages_in_hand_do_not_hold_up_other_workers(bus: Bus) -> None:
    """Whoever pulls next gets the messages after a window that is still being compared."""
    await publish(bus, 6)
    assert places(await pull(bus, 4)) == [1, 2, 3, 4]
    assert places(await pull(bus, 4)) == [5, 6]
