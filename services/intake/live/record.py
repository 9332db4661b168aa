"""The record of a live payload: the fields of all generations of client by their names.

Most payloads have the types of the vendor's record and are decoded into it directly. ``convert_record`` reads
the others: numbers in strings, strikes as objects.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from services.intake.errors import Unprocessable
from services.intake.live.values import MAX_INT32, MIN_INT32, missing, read_float, read_int32, read_number
from shared.bus.feeds.live_messages import Number, Strike

MAX_STRIKES: Final = 5_000
MAX_PRIORS: Final = 32
"""Of a strike, and of a snapshot."""
_MAX_OF_PAIR: Final = 4
_FLOATS: Final = (
    *("spot", "spot_price", "zero_gamma", "net_gex", "net_gex_vol", "net_gex_oi"),
    *("major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi"),
    *("mpos_vol", "mpos_oi", "mneg_vol", "mneg_oi", "sum_gex_vol", "sum_gex_oi", "delta_risk_reversal"),
    *("call_wall_candidate1_pct", "call_wall_candidate2_pct"),
    *("put_wall_candidate1_pct", "put_wall_candidate2_pct"),
)
_INTEGERS: Final = ("min_dte", "sec_min_dte")
CHANGES: Final = ("current", "one", "five", "ten", "fifteen", "thirty")
"""The fields of the vendor's answer on maximum changes, in the order of ``max_priors``."""
_AS_THEY_ARE: Final = ("ticker", "kind", "endpoint", "timestamp", "received_at")

Time: TypeAlias = int | float | str | None
Pair: TypeAlias = list[Number | None] | Number | None
"""A strike and its change; some clients send the strike alone."""


class LiveRecord(msgspec.Struct):
    """What a payload holds; None for what it lacks. A ``data`` holds all but who and when."""

    ticker: str | None = None
    kind: str | None = None
    endpoint: str | None = None
    timestamp: Time = None
    received_at: Time = None
    spot: float | None = None
    spot_price: float | None = None
    zero_gamma: float | None = None
    net_gex: float | None = None
    net_gex_vol: float | None = None
    net_gex_oi: float | None = None
    min_dte: int | None = None
    sec_min_dte: int | None = None
    major_pos_vol: float | None = None
    major_pos_oi: float | None = None
    major_neg_vol: float | None = None
    major_neg_oi: float | None = None
    mpos_vol: float | None = None
    mpos_oi: float | None = None
    mneg_vol: float | None = None
    mneg_oi: float | None = None
    sum_gex_vol: float | None = None
    sum_gex_oi: float | None = None
    delta_risk_reversal: float | None = None
    call_wall_candidate1_pct: float | None = None
    call_wall_candidate2_pct: float | None = None
    put_wall_candidate1_pct: float | None = None
    put_wall_candidate2_pct: float | None = None
    max_priors: list[Pair] | None = None
    current: list[Number | None] | None = None
    one: list[Number | None] | None = None
    five: list[Number | None] | None = None
    ten: list[Number | None] | None = None
    fifteen: list[Number | None] | None = None
    thirty: list[Number | None] | None = None
    strikes: list[Strike] | None = None
    data: LiveRecord | None = None


_DECODER: Final = msgspec.json.Decoder(LiveRecord)


def decode_record(body: bytes) -> LiveRecord | None:
    """Return the record of a body in the vendor's types; None if it has others, or is none."""
    try:
        record = _DECODER.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return record if _is_plain(record) and (record.data is None or _is_plain(record.data)) else None


def _is_plain(record: LiveRecord) -> bool:
    """Report whether a record keeps the rules that its types leave open."""
    return (
        _is_int32(record.min_dte)
        and _is_int32(record.sec_min_dte)
        and (record.strikes is None or _are_plain_strikes(record.strikes))
        and (record.max_priors is None or _are_plain_pairs(record.max_priors))
        and _are_plain_pairs([getattr(record, name) for name in CHANGES])
    )


def _is_int32(value: int | None) -> bool:
    return value is None or MIN_INT32 <= value <= MAX_INT32


def _are_plain_strikes(strikes: list[Strike]) -> bool:
    # Without a gamma, it may be an array of one element, which is refused.
    return len(strikes) <= MAX_STRIKES and all(
        strike.gamma is not None and (strike.priors is None or len(strike.priors) <= MAX_PRIORS)
        for strike in strikes
    )


def _are_plain_pairs(pairs: list[Pair]) -> bool:
    return len(pairs) <= MAX_PRIORS and all(
        not isinstance(pair, list) or len(pair) <= _MAX_OF_PAIR for pair in pairs
    )


def convert_record(body: dict[str, Any]) -> LiveRecord:
    """Return the record of a parsed body, with numbers in strings and strikes as objects converted.

    Raises:
        Unprocessable: a field has a value that it cannot have; the error names it.
    """
    data = body.get("data")
    if data is not None and not isinstance(data, dict):
        raise Unprocessable("data", "object", "data: it must be an object")
    fields: dict[str, Any] = {name: body.get(name) for name in _AS_THEY_ARE}
    fields["data"] = None if data is None else convert_record({**data, "data": None})
    if data is None:
        fields |= {name: read_float(name, body.get(name)) for name in _FLOATS}
        fields |= {name: read_int32(name, body.get(name)) for name in _INTEGERS}
        fields |= {name: _read_pair(name, body.get(name)) for name in CHANGES}
        fields["max_priors"] = _read_max_priors(body.get("max_priors"))
        fields["strikes"] = _read_strikes(body.get("strikes"))
    return LiveRecord(**fields)


def _read_list(field: str, value: Any, limit: int) -> list[Any] | None:
    if value is None or value == "":
        return None
    if not isinstance(value, list):
        raise Unprocessable(field, "array", f"{field}: it must be an array")
    if len(value) > limit:
        raise Unprocessable(field, "length", f"{field}: it has {len(value)} elements; {limit} are allowed")
    return value


def _read_numbers(field: str, value: Any, limit: int) -> list[Number | None] | None:
    numbers = _read_list(field, value, limit)
    return numbers and [read_number(f"{field}.{place}", number) for place, number in enumerate(numbers)]


def _read_pair(field: str, value: Any) -> list[Number | None] | None:
    return _read_numbers(field, value, _MAX_OF_PAIR)


def _read_max_priors(value: Any) -> list[Pair] | None:
    field = "max_priors"
    pairs = _read_list(field, value, MAX_PRIORS)
    return pairs and [
        _read_pair(f"{field}.{place}", pair)
        if isinstance(pair, list)
        else read_number(f"{field}.{place}", pair)
        for place, pair in enumerate(pairs)
    ]


def _read_strikes(value: Any) -> list[Strike] | None:
    strikes = _read_list("strikes", value, MAX_STRIKES)
    return strikes and [_read_strike(f"strikes.{place}", strike) for place, strike in enumerate(strikes)]


def _read_strike(field: str, value: Any) -> Strike:
    match value:
        case {}:
            strike, oi_gamma = value.get("strike"), value.get("oi_gamma")
            gamma = _first(value, "gamma", "gamma_now")
            priors = _first(value, "history", "priors")
        case [strike, gamma, list(priors)]:
            oi_gamma = None
        case [strike, gamma, *rest]:
            oi_gamma, priors, *_ = (*rest, None, None)
        case _:
            message = f"{field}: it must be an object, or an array of a strike and its values"
            raise Unprocessable(field, "strike", message)
    number = read_float(f"{field}.strike", strike)
    if number is None:
        raise missing(f"{field}.strike")
    return Strike(
        number,
        read_float(f"{field}.gamma", gamma),
        read_float(f"{field}.oi_gamma", oi_gamma),
        _read_numbers(f"{field}.priors", priors, MAX_PRIORS),
    )


def _first(value: dict[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)
