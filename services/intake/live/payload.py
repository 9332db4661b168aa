"""Read the body of ``POST /gex`` into a ``Snapshot``, from any of the clients that are in use.

Some send an envelope (``{ticker, kind, endpoint, received_at, data}``), some a flat object, some the vendor's
record or its answer on majors or maximum changes; a few encode the object twice. Fields that the lake has no
column for are ignored: ``vanna``, ``max_change``, and any other name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from services.intake.errors import Unprocessable
from services.intake.history.json_object import read_object
from services.intake.live.record import CHANGES, LiveRecord, Pair, convert_record, decode_record
from services.intake.live.values import missing, read_time_ms
from shared.bus.feeds.live_messages import Snapshot, SnapshotPart
from shared.gexbot.partition import PACKAGES, category_named, normalize_ticker

DEFAULT_ENDPOINT: Final = "gex_zero"
LIVE_ENDPOINTS: Final = PACKAGES["classic"]
"""The endpoints whose snapshots are stored."""
_DECODER: Final = msgspec.json.Decoder()
_PARTS: Final = {part.value: part for part in SnapshotPart} | {"max_change": SnapshotPart.MAXCHANGE}


def read_snapshot(body: bytes, now: datetime) -> Snapshot:
    """Return the snapshot, or the part of one, that a body holds.

    Args:
        body: the JSON object, perhaps encoded twice.
        now: the present moment (UTC); a snapshot is at most a day ahead of it.

    Raises:
        BadRequest: it is no JSON object.
        Unprocessable: a required field is missing, or a field is unusable; the error names it.
    """
    record = decode_record(body) or convert_record(_decode_object(body))
    data = record if record.data is None else record.data
    part = _read_part(_first(record.kind, data.kind))
    ticker = _read_ticker(_first(record.ticker, data.ticker))
    endpoint = _read_endpoint(_first(record.endpoint, data.endpoint))
    timestamp = _read_timestamp(record, data, now)
    spot = _first(data.spot, data.spot_price)
    if part is SnapshotPart.SNAPSHOT:
        if spot is None:
            raise missing("spot")
        if data.zero_gamma is None:
            raise missing("zero_gamma")
    return Snapshot(
        ticker=ticker,
        endpoint=endpoint,
        timestamp=timestamp,
        part=part,
        spot_price=spot,
        zero_gamma=data.zero_gamma,
        net_gex=_first(data.net_gex, data.net_gex_vol),
        min_dte=data.min_dte,
        sec_min_dte=data.sec_min_dte,
        major_pos_vol=_first(data.major_pos_vol, data.mpos_vol),
        major_pos_oi=_first(data.major_pos_oi, data.mpos_oi),
        major_neg_vol=_first(data.major_neg_vol, data.mneg_vol),
        major_neg_oi=_first(data.major_neg_oi, data.mneg_oi),
        sum_gex_vol=_first(data.sum_gex_vol, data.net_gex_vol),
        sum_gex_oi=_first(data.sum_gex_oi, data.net_gex_oi),
        delta_risk_reversal=data.delta_risk_reversal,
        max_priors=_max_priors(data),
        call_wall_candidate1_pct=data.call_wall_candidate1_pct,
        call_wall_candidate2_pct=data.call_wall_candidate2_pct,
        put_wall_candidate1_pct=data.put_wall_candidate1_pct,
        put_wall_candidate2_pct=data.put_wall_candidate2_pct,
        strikes=data.strikes,
    )


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(body)
    except (ValueError, RecursionError):
        value = None
    # What msgspec refuses, and what is encoded twice, is read with errors that name the place.
    return value if isinstance(value, dict) else read_object(body)


def _first(one: Any, other: Any) -> Any:
    return other if one is None else one


def _text(field: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unprocessable(field, "string", f"{field}: it must be a string")
    return value.strip()


def _read_part(value: Any) -> SnapshotPart:
    kind = _text("kind", value).lower() or SnapshotPart.SNAPSHOT.value
    part = _PARTS.get(kind)
    if part is None:
        message = f"kind: {kind[:40]!r} is no kind: use one of {', '.join(SnapshotPart)}"
        raise Unprocessable("kind", "kind", message)
    return part


def _read_ticker(value: Any) -> str:
    text = _text("ticker", value)
    if not text:
        raise missing("ticker")
    try:
        return normalize_ticker(text)
    except ValueError as error:
        raise Unprocessable("ticker", "ticker", f"ticker: {error}") from error


def _read_endpoint(value: Any) -> str:
    text = _text("endpoint", value).lower() or DEFAULT_ENDPOINT
    endpoint = category_named(text.removeprefix("classic").lstrip("_/"))
    if endpoint not in LIVE_ENDPOINTS:
        message = f"endpoint: {text[:40]!r} is not stored live: use one of {', '.join(LIVE_ENDPOINTS)}"
        raise Unprocessable("endpoint", "endpoint", message)
    return endpoint


def _read_timestamp(record: LiveRecord, data: LiveRecord, now: datetime) -> int:
    """Return the time of the snapshot; clients that send none say when they received it."""
    for field, value in (
        ("timestamp", data.timestamp),
        ("timestamp", record.timestamp),
        ("received_at", record.received_at),
        ("received_at", data.received_at),
    ):
        time_ms = read_time_ms(field, value, now)
        if time_ms is not None:
            return time_ms
    raise missing("timestamp")


def _max_priors(data: LiveRecord) -> list[Pair] | None:
    changes: list[Pair] = [getattr(data, name) for name in CHANGES]
    return data.max_priors if all(change is None for change in changes) else changes
