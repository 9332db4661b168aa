"""The messages of FEED: what intake has accepted on its live routes, in one form for every kind of client.

They are small and many, so they are msgspec structs. Their JSON has the envelope of the other messages, but
for the job: ``type``, ``id``, ``occurred_at`` and ``payload``. Within v1 only optional fields are added, and
readers ignore fields that they do not know.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgspec

from shared.bus import subjects
from shared.bus.feeds.chain_messages import Chain, LiveChain
from shared.errors import MalformedMessage

Number: TypeAlias = int | float


class SnapshotPart(StrEnum):
    """Which part of a snapshot a message has; the others keep what they have."""

    SNAPSHOT = "snapshot"
    MAJORS = "majors"
    MAXCHANGE = "maxchange"


class Strike(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One strike of a snapshot: an array in JSON."""

    strike: float
    gamma: float | None = None
    """GEX by volume."""
    oi_gamma: float | None = None
    """GEX by open interest."""
    priors: list[Number | None] | None = None
    """``gamma`` 1, 5, 10, 15 and 30 minutes ago; integers and floats as they were sent."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A snapshot of a ticker and endpoint, or a part of it; None for what was not sent.

    Fields are the columns of ``gex_snapshots``.
    """

    ticker: str
    endpoint: str
    timestamp: int
    """UTC epoch milliseconds."""
    part: SnapshotPart = SnapshotPart.SNAPSHOT
    spot_price: float | None = None
    zero_gamma: float | None = None
    net_gex: float | None = None
    min_dte: int | None = None
    sec_min_dte: int | None = None
    major_pos_vol: float | None = None
    major_pos_oi: float | None = None
    major_neg_vol: float | None = None
    major_neg_oi: float | None = None
    sum_gex_vol: float | None = None
    sum_gex_oi: float | None = None
    delta_risk_reversal: float | None = None
    max_priors: list[Any] | None = None
    """``[strike, change]`` pairs, or the strikes alone, as they were sent."""
    call_wall_candidate1_pct: float | None = None
    call_wall_candidate2_pct: float | None = None
    put_wall_candidate1_pct: float | None = None
    put_wall_candidate2_pct: float | None = None
    strikes: list[Strike] | None = None


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payload of a webhook, as it came."""

    topic: str | None = None
    """Without a symbol after a colon."""
    topic_symbol: str | None = None
    """The symbol after the colon of the topic."""
    event: str | None = None
    payload: Any = None
    """What the frame or object carries: the ``data`` of a Phoenix frame."""
    source_ip: str | None = None
    user_agent: str | None = None


class LiveSnapshot(msgspec.Struct, frozen=True, tag_field="type", tag="gex.feed.v1.snapshot"):
    """A message on ``gex.feed.gex.<ticker>``."""

    id: str
    """Digest of the payload: the same content has the same id."""
    occurred_at: datetime
    """When intake received it (UTC)."""
    payload: Snapshot

    @property
    def subject(self) -> str:
        """Where the message is published."""
        return subjects.live_snapshot(self.payload.ticker)


class LiveWebhook(msgspec.Struct, frozen=True, tag_field="type", tag="gex.feed.v1.webhook"):
    """A message on ``gex.feed.uw.<topic>``."""

    id: str
    """Digest of topic, event and payload: the same content has the same id."""
    occurred_at: datetime
    """When intake received it (UTC)."""
    payload: Webhook

    @property
    def subject(self) -> str:
        """Where the message is published."""
        return subjects.live_webhook(self.payload.topic)


LiveMessage: TypeAlias = LiveSnapshot | LiveWebhook | LiveChain


class EncodedMessage(NamedTuple):
    """A message as it is published."""

    id: str
    subject: str
    data: bytes


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[LiveMessage]] = msgspec.json.Decoder(
    LiveSnapshot | LiveWebhook | LiveChain
)
_ID_BYTES: Final = 16


def live_snapshot(snapshot: Snapshot, received_at: datetime) -> LiveSnapshot:
    """Return the message of a snapshot."""
    return LiveSnapshot(_digest(snapshot), received_at, snapshot)


def live_webhook(webhook: Webhook, received_at: datetime) -> LiveWebhook:
    """Return the message of a webhook's payload; who sent it is no part of its id."""
    content = (webhook.topic, webhook.topic_symbol, webhook.event, webhook.payload)
    return LiveWebhook(_digest(content), received_at, webhook)


def live_chain(chain: Chain, received_at: datetime) -> LiveChain:
    """Return the message of an option chain; its score, which depends on the time, is no part of its id."""
    content = (chain.snapshot_id, chain.market_symbol, chain.timestamp, chain.job_id, chain.strikes)
    return LiveChain(_digest(content), received_at, chain)


def encoded_snapshot(snapshot: Snapshot, received_at: datetime) -> EncodedMessage:
    """Return the message of a snapshot as bytes, for which the snapshot is encoded once."""
    payload = _ENCODER.encode(snapshot)
    message = LiveSnapshot(_digest_of(payload), received_at, cast(Snapshot, msgspec.Raw(payload)))
    return EncodedMessage(message.id, subjects.live_snapshot(snapshot.ticker), _ENCODER.encode(message))


def encoded(message: LiveMessage) -> EncodedMessage:
    """Return a message as bytes."""
    return EncodedMessage(message.id, message.subject, encode(message))


def encode(message: LiveMessage) -> bytes:
    """Return a message as JSON bytes."""
    return _ENCODER.encode(message)


def decode(subject: str, data: bytes) -> LiveMessage:
    """Decode a message of FEED.

    Raises:
        MalformedMessage: the bytes are not a message that this version knows.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(subject, str(error)) from error
    except UnicodeDecodeError as error:
        raise MalformedMessage(subject, "it is not UTF-8") from error


def _digest(content: object) -> str:
    return _digest_of(_ENCODER.encode(content))


def _digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_ID_BYTES).hexdigest()
