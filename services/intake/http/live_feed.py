"""Publish to FEED for the routes of live data."""

from __future__ import annotations

from services.intake.errors import Refused, TooLarge
from services.intake.http.context import AppContext
from shared.bus.feeds.batch_publisher import MAX_MESSAGE_BYTES, MessageTooLarge
from shared.bus.feeds.live_messages import EncodedMessage, LiveMessage
from shared.errors import GexlakeError


async def store(context: AppContext, message: LiveMessage | EncodedMessage) -> None:
    """Return once the broker has a message on disk.

    Raises:
        TooLarge: the broker takes no message of its size.
        BrokerUnavailable: no ack in time.
        StreamFull: FEED is at its cap.
    """
    try:
        await context.feed.publish(message)
    except MessageTooLarge as error:
        raise TooLarge(MAX_MESSAGE_BYTES) from error


def outcome_of(error: GexlakeError) -> str:
    """Return the outcome by which a payload that is not stored is counted."""
    return error.rule if isinstance(error, Refused) else "unavailable"
