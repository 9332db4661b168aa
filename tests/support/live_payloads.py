"""Payloads of ``POST /gex`` of each generation of client, with the snapshot that each one holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from shared.bus.feeds.live_messages import Number, Snapshot, SnapshotPart, Strike

NOW: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
_FIRST_S: Final = 1_700_000_000
_LAST_S: Final = int(NOW.timestamp())
_SCALARS: Final = (
    *("major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi", "sum_gex_vol", "sum_gex_oi"),
    *("delta_risk_reversal", "call_wall_candidate1_pct", "call_wall_candidate2_pct"),
    *("put_wall_candidate1_pct", "put_wall_candidate2_pct"),
)
_MAJORS: Final = {
    "mpos_vol": "major_pos_vol",
    "mpos_oi": "major_pos_oi",
    "mneg_vol": "major_neg_vol",
    "mneg_oi": "major_neg_oi",
}
_CHANGES: Final = ("current", "one", "five", "ten", "fifteen", "thirty")
Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Payload:
    """A JSON object, and the snapshot that is to be read from it."""

    sent: Any
    expected: Snapshot

    @property
    def body(self) -> bytes:
        """The body of the request."""
        return json.dumps(self.sent).encode()


def numbers() -> st.SearchStrategy[Number]:
    """Numbers as the vendor sends them: integers, and floats of few digits."""
    return st.integers(-(10**9), 10**9) | st.floats(-1e12, 1e12, allow_nan=False, allow_infinity=False)


@st.composite
def spelled(draw: st.DrawFn, number: Number) -> Any:
    """Return a number as itself or as a string."""
    return draw(st.sampled_from([number, number, repr(number), f" {number!r} "]))


@st.composite
def times(draw: st.DrawFn) -> tuple[Any, int]:
    """Return a time in one of its spellings, and its epoch milliseconds."""
    seconds = draw(st.integers(_FIRST_S, _LAST_S))
    ms = seconds * 1000
    naive = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
    spelling = draw(
        st.sampled_from(
            [
                *(seconds, str(seconds), float(seconds), ms, str(ms), ms * 1000, ms * 1_000_000),
                *(naive, f"{naive}Z", f"{naive}+00:00", naive.replace("T", " ")),
            ]
        )
    )
    return spelling, ms


@st.composite
def who_and_when(draw: st.DrawFn) -> tuple[Object, Object]:
    """Return fields of a payload, and those of the snapshot, that make its key."""
    ticker = draw(st.sampled_from(["SPX", "NQ_NDX", "ES_SPX", "BRK.B", "^VIX"]))
    spelling, ms = draw(times())
    endpoint, name = draw(
        st.sampled_from(
            [
                *((None, "gex_zero"), ("gex_zero", "gex_zero"), ("full", "gex_full"), ("one", "gex_one")),
                *(("GEX_ONE", "gex_one"), ("classic_gex_full", "gex_full"), ("classic/zero", "gex_zero")),
            ]
        )
    )
    sent: Object = {"ticker": draw(st.sampled_from([ticker, ticker.lower(), f" {ticker} "]))}
    sent |= {"timestamp": spelling} | ({} if endpoint is None else {"endpoint": endpoint})
    return sent, {"ticker": ticker, "endpoint": name, "timestamp": ms}


@st.composite
def scalars(draw: st.DrawFn, names: tuple[str, ...], *, spell: bool = False) -> tuple[Object, Object]:
    """Return some fields with numbers, as sent and as floats."""
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    values = {name: draw(numbers()) for name in chosen}
    sent = {name: draw(spelled(value)) if spell else value for name, value in values.items()}
    return sent, {name: float(value) for name, value in values.items()}


@st.composite
def strike_arrays(draw: st.DrawFn) -> tuple[list[Any], Strike]:
    """Return a strike as an array of 2 to 4."""
    strike, gamma, oi_gamma = (draw(numbers()) for _ in range(3))
    priors = draw(st.lists(numbers() | st.none(), max_size=5))
    whole = Strike(float(strike), float(gamma), float(oi_gamma), priors)
    length = draw(st.integers(2, 4))
    shorter = {2: Strike(whole.strike, whole.gamma), 3: Strike(whole.strike, whole.gamma, whole.oi_gamma)}
    return [strike, gamma, oi_gamma, priors][:length], shorter.get(length, whole)


@st.composite
def strike_objects(draw: st.DrawFn) -> tuple[Object, Strike]:
    """Return a strike as an object."""
    strike, gamma, oi_gamma, vanna = (draw(numbers()) for _ in range(4))
    priors = draw(st.none() | st.lists(numbers() | st.none(), max_size=5))
    name = draw(st.sampled_from(["gamma", "gamma_now"]))
    sent = {"strike": draw(spelled(strike)), name: draw(spelled(gamma)), "vanna": vanna}
    sent |= {"oi_gamma": oi_gamma, "history": priors}
    return sent, Strike(float(strike), float(gamma), float(oi_gamma), priors)


@st.composite
def vendor_records(draw: st.DrawFn) -> Payload:
    """Return the vendor's own record."""
    key, expected_key = draw(who_and_when())
    spot, zero_gamma = draw(numbers()), draw(numbers())
    dtes: Object = {name: draw(st.integers(0, 90)) for name in ("min_dte", "sec_min_dte")}
    sent, expected = draw(scalars(_SCALARS))
    pairs = draw(st.lists(st.tuples(numbers(), numbers()).map(list), min_size=6, max_size=6))
    strikes = draw(st.lists(strike_arrays(), max_size=4))
    return Payload(
        {
            **key,
            **dtes,
            **sent,
            "spot": spot,
            "zero_gamma": zero_gamma,
            "max_priors": pairs,
            "strikes": [one for one, _ in strikes],
        },
        Snapshot(
            **expected_key,
            **dtes,
            **expected,
            spot_price=float(spot),
            zero_gamma=float(zero_gamma),
            max_priors=pairs,
            strikes=[strike for _, strike in strikes],
        ),
    )


@st.composite
def flat_objects(draw: st.DrawFn) -> Payload:
    """Return a flat object of the clients of before: names and types vary, some fields have no column."""
    key, expected = draw(who_and_when())
    spot, zero_gamma, net_vol, net_oi = (draw(numbers()) for _ in range(4))
    sent, floats = draw(scalars(_SCALARS, spell=True))
    sums = {"sum_gex_vol": float(net_vol), "sum_gex_oi": float(net_oi)} | floats
    net_gex = draw(st.none() | numbers())
    strikes = draw(st.lists(strike_objects() | strike_arrays(), max_size=4))
    flat_priors = draw(st.none() | st.lists(numbers(), max_size=6))
    sent |= {
        **key,
        draw(st.sampled_from(["spot", "spot_price"])): draw(spelled(spot)),
        "zero_gamma": draw(spelled(zero_gamma)),
        "net_gex": net_gex,
        "net_gex_vol": draw(spelled(net_vol)),
        "net_gex_oi": net_oi,
        "max_change": {"1h": 1.5, "24h": -2},
        "max_priors": flat_priors,
        "strikes": [one for one, _ in strikes],
        "page": "https://example.com/",
    }
    snapshot = Snapshot(
        **expected,
        **{**floats, **sums},
        spot_price=float(spot),
        zero_gamma=float(zero_gamma),
        net_gex=float(net_vol if net_gex is None else net_gex),
        max_priors=flat_priors,
        strikes=[strike for _, strike in strikes],
    )
    return Payload(sent, snapshot)


@st.composite
def envelopes(draw: st.DrawFn) -> Payload:
    """Return an envelope around a snapshot."""
    inner = draw(vendor_records() | flat_objects())
    data = dict(inner.sent)
    outer = {"ticker": data.pop("ticker"), "kind": draw(st.sampled_from(["snapshot", "Snapshot"]))}
    if "endpoint" in data:
        outer["endpoint"] = data.pop("endpoint")
    if draw(st.booleans()):
        outer["received_at"] = data.pop("timestamp")
    return Payload({**outer, "data": data}, inner.expected)


@st.composite
def majors(draw: st.DrawFn) -> Payload:
    """Return an envelope with the vendor's answer on majors."""
    key, expected = draw(who_and_when())
    sent, floats = draw(scalars(tuple(_MAJORS)))
    named = {_MAJORS[name]: value for name, value in floats.items()}
    spot = draw(st.none() | numbers())
    snapshot = Snapshot(
        **expected, **named, part=SnapshotPart.MAJORS, spot_price=None if spot is None else float(spot)
    )
    return _in_envelope(draw, key, "majors", {**sent, "spot": spot}, snapshot)


@st.composite
def max_changes(draw: st.DrawFn) -> Payload:
    """Return an envelope with the vendor's answer on maximum changes."""
    key, expected = draw(who_and_when())
    pairs = {name: [draw(numbers()), draw(numbers())] for name in _CHANGES}
    snapshot = Snapshot(**expected, part=SnapshotPart.MAXCHANGE, max_priors=list(pairs.values()))
    return _in_envelope(draw, key, "maxchange", pairs, snapshot)


def payloads() -> st.SearchStrategy[Payload]:
    """Payloads of every generation and kind, some encoded twice."""
    every = vendor_records() | flat_objects() | envelopes() | majors() | max_changes()
    return every | every.map(lambda payload: Payload(json.dumps(payload.sent), payload.expected))


def _in_envelope(draw: st.DrawFn, key: Object, kind: str, data: Object, expected: Snapshot) -> Payload:
    outer = {name: value for name, value in key.items() if name != "timestamp"}
    inside = draw(st.booleans())  # the vendor's answer has the ticker too
    data = {**data, "timestamp": key["timestamp"]} | ({"ticker": key["ticker"]} if inside else {})
    return Payload({**outer, "kind": kind, "data": data}, expected)
