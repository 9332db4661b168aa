"""The messages of CHRONOX: minute bars and market snapshots, for the lake and for anyone who subscribes.

Bars come one a message from the stream, and a trading day of a symbol a message from history. The envelope is
that of FEED's messages. Within v1 only optional fields are added, and readers ignore fields that they do not
know.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Final, TypeAlias

import msgspec

from gexlake.api.chronox.symbols import Phase
from shared.bus import subjects
from shared.bus.feeds.live_messages import EncodedMessage
from shared.errors import MalformedMessage
from shared.massive.bars import Bar, BarSource
from shared.massive.snapshots import MarketSnapshot


class Bars(msgspec.Struct, frozen=True, omit_defaults=True):
    """Minute bars of a symbol, in the order of time; a later message of a minute replaces an earlier one."""

    symbol: str
    source: BarSource
    bars: list[Bar]
    adjusted: bool = False
    """Whether prices and volumes are in shares of the day of ``occurred_at``; otherwise as traded."""
    complete_days: tuple[date, date] | None = None
    """First and last of the days (New York) whose bars are complete with this message: it and those before it
    have all that the vendor has, and the other minutes had no trades."""
    missing_since: int | None = None
    """Of streamed bars: the minute (UTC epoch milliseconds) from which bars of the symbol may be missing up
    to this message, because the stream was interrupted and is not filled yet."""


class BarsMessage(msgspec.Struct, frozen=True, tag_field="type", tag="chronox.v1.bars"):
    """A message on ``chronox.backfill.<symbol>`` or ``chronox.stream.<symbol>``."""

    id: str
    """Digest of the payload and ``occurred_at``: a message that is published again has the same id, and a bar
    that is received again has another one. Without the time, the third of the messages A, B, A would be lost.
    """
    occurred_at: datetime
    """When the fetcher received them (UTC)."""
    payload: Bars

    @property
    def subject(self) -> str:
        """Where the message is published."""
        phase = Phase.STREAM if self.payload.source is BarSource.STREAM else Phase.BACKFILL
        return subjects.chronox(phase, self.payload.symbol)


class SnapshotMessage(msgspec.Struct, frozen=True, tag_field="type", tag="chronox.v1.snapshot"):
    """A message on ``chronox.snapshot.<symbol>``."""

    id: str
    """Digest of the payload and ``occurred_at``."""
    occurred_at: datetime
    """When the fetcher received it (UTC)."""
    payload: MarketSnapshot

    @property
    def subject(self) -> str:
        """Where the message is published."""
        return subjects.chronox(Phase.SNAPSHOT, self.payload.symbol)


ChronoxMessage: TypeAlias = BarsMessage | SnapshotMessage
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[ChronoxMessage]] = msgspec.json.Decoder(BarsMessage | SnapshotMessage)
_ID_BYTES: Final = 16


def bars_message(bars: Bars, received_at: datetime) -> BarsMessage:
    """Return the message of bars."""
    return BarsMessage(_digest(bars, received_at), received_at, bars)


def snapshot_message(snapshot: MarketSnapshot, received_at: datetime) -> SnapshotMessage:
    """Return the message of a snapshot."""
    return SnapshotMessage(_digest(snapshot, received_at), received_at, snapshot)


def encoded(message: ChronoxMessage) -> EncodedMessage:
    """Return a message as bytes."""
    return EncodedMessage(message.id, message.subject, encode(message))


def encode(message: ChronoxMessage) -> bytes:
    """Return a message as JSON bytes."""
    return _ENCODER.encode(message)


def decode(subject: str, data: bytes) -> ChronoxMessage:
    """Decode a message of CHRONOX.

    Raises:
        MalformedMessage: the bytes are not a message that this version knows.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(subject, str(error)) from error
    except UnicodeDecodeError as error:
        raise MalformedMessage(subject, "it is not UTF-8") from error


def _digest(content: object, received_at: datetime) -> str:
    return hashlib.blake2b(_ENCODER.encode((content, received_at)), digest_size=_ID_BYTES).hexdigest()
