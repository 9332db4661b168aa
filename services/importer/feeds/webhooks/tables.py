"""Turn a webhook into rows: the webhook as it came and, if it is recognized, a trade or a market aggregate.

Pure functions. ``WEBHOOK_TYPES``, ``TRADE_TYPES`` and ``AGGREGATE_TYPES`` have the columns of the tables, in
the order of a row, and their types in DuckDB's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import msgspec

from services.importer.feeds.webhooks.values import bigint, day, double, json_text, moment, text
from shared.bus.feeds.live_messages import LiveWebhook
from shared.errors import MalformedMessage
from shared.gexbot.trading_day import NEW_YORK
from shared.unusual_whales.recognition import Recognized, WebhookKind, recognize

INDEX_ROOTS: Final = frozenset(
    {
        *("DJX", "MRUT", "MXEA", "MXEF", "NDX", "NDXP", "NQX", "OEX", "RUI", "RUT", "RUTW"),
        *("SPEQX", "SPX", "SPXW", "VIX", "VIXW", "XEO", "XND", "XSP"),
    }
)
"""Roots of options on an index, for senders that do not say so in ``issue_type``."""

_TEXT, _DOUBLE, _BIGINT, _DATE = "VARCHAR", "DOUBLE", "BIGINT", "DATE"
_TIME: Final = "TIMESTAMP WITH TIME ZONE"

WEBHOOK_TYPES: Final[Mapping[str, str]] = {
    "id": _TEXT,
    "received_at": _TIME,
    **dict.fromkeys(("topic", "event", "payload_json", "source_ip", "user_agent"), _TEXT),
}
TRADE_TYPES: Final[Mapping[str, str]] = {
    "received_at": _TIME,
    **dict.fromkeys(("topic", "topic_symbol", "ticker", "option_chain_id", "type"), _TEXT),
    "strike": _DOUBLE,
    "expiry": _DATE,
    "dte": "INTEGER",
    "price": _DOUBLE,
    "size": _BIGINT,
    "premium": _DOUBLE,
    "volume": _BIGINT,
    "open_interest": _BIGINT,
    **dict.fromkeys(
        ("underlying_price", "implied_volatility", "delta", "gamma", "theta", "vega", "rho"), _DOUBLE
    ),
    "tags": _TEXT,
    "executed_at": _TIME,
    "trade_id": _TEXT,
    "is_index_option": "BOOLEAN",
    "raw": _TEXT,
}
AGGREGATE_TYPES: Final[Mapping[str, str]] = {
    "received_at": _TIME,
    "date": _DATE,
    **dict.fromkeys(("call_premium", "put_premium"), _DOUBLE),
    **dict.fromkeys(("call_volume", "put_volume"), _BIGINT),
    **dict.fromkeys(("put_call_ratio", "call_premium_otm_only", "put_premium_otm_only"), _DOUBLE),
    **dict.fromkeys(("delta", "gamma", "theta", "vega"), _DOUBLE),
}
_TYPES: Final = {"c": "call", "call": "call", "p": "put", "put": "put"}
_ENCODER: Final = msgspec.json.Encoder()
_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    _TEXT: text,
    _DOUBLE: double,
    _BIGINT: bigint,
    _DATE: day,
    _TIME: moment,
}


class WebhookRows(NamedTuple):
    """The rows of one webhook; values in the order of the columns' types.

    Args:
        webhook: the row of ``universal_webhooks``.
        trade: the row of ``option_trades_events``, if it is an option trade.
        aggregate: the row of ``market_agg_state``, if it is a market aggregate.
    """

    webhook: tuple[Any, ...]
    trade: tuple[Any, ...] | None
    aggregate: tuple[Any, ...] | None


def rows_of(message: LiveWebhook) -> WebhookRows:
    """Return the rows of a webhook. A field that cannot be read, or does not fit its column, is None.

    Raises:
        MalformedMessage: it cannot be stored: its time has no zone, or its payload cannot be written as JSON.
    """
    webhook = message.payload
    if message.occurred_at.tzinfo is None:
        raise MalformedMessage(message.subject, "occurred_at has no time zone")
    try:
        raw = _ENCODER.encode(webhook.payload).decode()
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedMessage(message.subject, f"its payload is no JSON: {error}") from error
    topic = webhook.topic
    if topic is not None and webhook.topic_symbol is not None:
        topic = f"{topic}:{webhook.topic_symbol}"
    row = (
        message.id,
        message.occurred_at,
        topic,
        webhook.event,
        raw,
        webhook.source_ip,
        webhook.user_agent,
    )
    found = recognize(webhook.topic, webhook.payload)
    is_trade = found is not None and found.kind is WebhookKind.OPTION_TRADE
    is_aggregate = found is not None and found.kind is WebhookKind.MARKET_AGGREGATE
    return WebhookRows(
        webhook=row,
        trade=_trade(message, found, raw) if found and is_trade else None,
        aggregate=_aggregate(message, found) if found and is_aggregate else None,
    )


def _trade(message: LiveWebhook, trade: Recognized, raw: str) -> tuple[Any, ...]:
    record, symbol = trade.record, trade.symbol
    values = {
        name: _READERS[kind](record.get(name)) for name, kind in TRADE_TYPES.items() if kind in _READERS
    }
    expiry = symbol.expiry if symbol else values["expiry"]
    values |= {
        "received_at": message.occurred_at,
        "topic": message.payload.topic,
        "topic_symbol": message.payload.topic_symbol,
        "ticker": trade.ticker,
        "option_chain_id": trade.chain_id,
        "type": symbol.type if symbol else _TYPES.get((text(record.get("option_type")) or "").lower()),
        "strike": symbol.strike if symbol else values["strike"],
        "expiry": expiry,
        "dte": _days_to(expiry, values["executed_at"] or message.occurred_at),
        "tags": json_text(record.get("tags")),
        "trade_id": text(record.get("id")) or text(record.get("trade_id")),
        "is_index_option": _is_on_index(record, trade.ticker),
        "raw": raw,
    }
    return tuple(values[name] for name in TRADE_TYPES)


def _aggregate(message: LiveWebhook, aggregate: Recognized) -> tuple[Any, ...]:
    record = aggregate.record
    values = {name: _READERS[kind](record.get(name)) for name, kind in AGGREGATE_TYPES.items()}
    return tuple((values | {"received_at": message.occurred_at}).values())


def _days_to(expiry: date | None, moment: datetime) -> int | None:
    """Return the days from the date in New York to the expiration."""
    if expiry is None:
        return None
    try:
        return (expiry - moment.astimezone(NEW_YORK).date()).days
    except OverflowError:  # a time at the end of the calendar
        return None


def _is_on_index(record: Mapping[str, Any], ticker: str | None) -> bool | None:
    issue_type = text(record.get("issue_type"))
    if issue_type is None and ticker is None:
        return None
    return (issue_type or "").lower() == "index" or ticker in INDEX_ROOTS
