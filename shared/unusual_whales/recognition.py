"""Recognize what a webhook carries by its topic, for intake's answer and for the importer's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from shared.unusual_whales.occ import OptionSymbol, parse_option_symbol

CHAIN_ID: Final = ("option_chain_id", "option_symbol")
"""The field with the OCC symbol of a trade: in the web page's socket, in the vendor's official one."""
_TICKER: Final = ("underlying_symbol", "ticker")
AGGREGATE_FIELDS: Final = (
    *("date", "call_premium", "put_premium", "call_volume", "put_volume", "put_call_ratio"),
    *("call_premium_otm_only", "put_premium_otm_only", "delta", "gamma", "theta", "vega"),
)
_TRADE_TOPICS: Final = frozenset({"option_trades_super_algo", "option_trades", "option_trade"})
_AGGREGATE_TOPICS: Final = frozenset({"market_agg_socket", "market_agg", "market_aggregate"})
_WRAPPERS: Final = ("data", "payload")


class WebhookKind(StrEnum):
    """What webhooks carry that has a table of its own."""

    OPTION_TRADE = "option_trade"
    MARKET_AGGREGATE = "market_aggregate"


@dataclass(frozen=True)
class Recognized:
    """What a webhook carries.

    Args:
        kind: what it is.
        record: its fields as they were sent; numbers are often strings, and "" stands for a missing value.
    """

    kind: WebhookKind
    record: Mapping[str, Any]

    @cached_property
    def chain_id(self) -> str | None:
        """The OCC symbol of a trade, as it was sent."""
        return _first_text(self.record, CHAIN_ID)

    @cached_property
    def symbol(self) -> OptionSymbol | None:
        """The OCC symbol of a trade, taken apart; None if it cannot be read."""
        try:
            return parse_option_symbol(self.chain_id or "")
        except ValueError:
            return None

    @cached_property
    def ticker(self) -> str | None:
        """The root of a trade's OCC symbol; if that cannot be read, the ticker that the sender gives."""
        symbol = self.symbol
        return symbol.root if symbol else _first_text(self.record, _TICKER)


def recognize(topic: str | None, payload: Any) -> Recognized | None:
    """Return what a payload carries; None if only its raw JSON is kept.

    A trade needs its OCC symbol, readable or not; a market aggregate needs one of its fields.

    Args:
        topic: without a symbol after a colon.
        payload: as parsed JSON; its record may be wrapped in ``data`` or ``payload``.
    """
    for record in _candidates(payload):
        if topic in _TRADE_TOPICS:
            trade = Recognized(WebhookKind.OPTION_TRADE, record)
            if trade.chain_id is not None:
                return trade
        elif topic in _AGGREGATE_TOPICS and any(record.get(name) is not None for name in AGGREGATE_FIELDS):
            return Recognized(WebhookKind.MARKET_AGGREGATE, record)
    return None


def _candidates(payload: Any) -> list[Mapping[str, Any]]:
    """Return the objects that may be the record: what is wrapped comes before its wrapper."""
    if not isinstance(payload, dict):
        return []
    return [*(payload[name] for name in _WRAPPERS if isinstance(payload.get(name), dict)), payload]


def _first_text(record: Mapping[str, Any], names: Iterable[str]) -> str | None:
    values = (record.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), None)
