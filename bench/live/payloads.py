"""What payloads are made of: snapshots of 100 strikes as the vendor sends them, and frames of webhooks."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from typing import Any, Final

from simulator.generator import LAGS_S, Day

STRIKES: Final = 100
_TEMPLATES: Final = 64
_TRADE: Final = {
    "ask_vol": 749,
    "bid_vol": 97,
    "delta": "0.422",
    "ewma_nbbo_ask": "2.79",
    "ewma_nbbo_bid": "2.65",
    "exchange": "XBXO",
    "gamma": "0.041",
    "implied_volatility": "0.525",
    "industry_type": "Semiconductors",
    "is_agg": False,
    "marketcap": "122059032151",
    "open_interest": 227,
    "option_chain_id": "ARM260116C00118000",
    "premium": "140000.00",
    "price": "2.80",
    "report_flags": [],
    "rho": "0.011",
    "sector": "Technology",
    "size": 500,
    "tags": ["ask_side", "bullish"],
    "theo": "2.800",
    "theta": "-0.207",
    "underlying_price": "115.695",
    "vega": "0.071",
    "volume": 863,
}
_AGGREGATE: Final = {
    "date": "2026-01-07",
    "call_premium": "4212345678.50",
    "put_premium": "3512345678.25",
    "put_volume": 14_000_000,
    "put_call_ratio": "0.71",
}


def templates() -> dict[str, Any]:
    """Return the texts of snapshots after their ticker, and the frames of webhooks."""
    return {
        "snapshots": [_after_ticker(record) for record in _records(_TEMPLATES)],
        "trade": [None, None, "option_trades_super_algo", "new_msg", {"data": _TRADE}],
        "aggregate": [None, None, "market_agg_socket", "new_msg", {"data": _AGGREGATE}],
    }


def marked_snapshot(ticker: str, timestamp_ms: int) -> dict[str, Any]:
    """Return a snapshot of a ticker and time."""
    return {**_records(1)[0], "ticker": ticker, "timestamp": timestamp_ms}


def strikes_of_snapshots() -> list[int]:
    """Return the strikes that every snapshot has."""
    return [strike for strike, *_ in _records(1)[0]["strikes"]]


@cache
def _records(count: int) -> list[dict[str, Any]]:
    """Return records from half an hour after the open, when all priors have a value."""
    first = LAGS_S[-1]
    day = Day("SPX", snapshots=first + count, strikes=STRIKES)
    return list(islice(day.records(), first, None))


def _after_ticker(record: dict[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name not in ("timestamp", "ticker")}
    return json.dumps(rest, separators=(",", ":"))[1:]
