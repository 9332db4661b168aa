"""Webhooks become rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.importer.feeds.webhooks.tables import (
    AGGREGATE_TYPES,
    TRADE_TYPES,
    WEBHOOK_TYPES,
    rows_of,
)
from shared.bus.feeds.live_messages import LiveWebhook, Webhook, decode, encode, live_webhook
from shared.errors import MalformedMessage, Terminal
from tests.support.examples import examples
from tests.support.repository import ROOT

RECEIVED = datetime(2026, 1, 7, 20, 0, 33, tzinfo=UTC)
FRAME = json.loads((ROOT / "tests/golden/vendor/uw_option_trade_frame.json").read_bytes())
TRADE = FRAME[4]["data"]
AGGREGATE = {
    "date": "2026-01-07",
    "call_premium": "7136124891.00",
    "put_premium": "4612332185.50",
    "call_volume": 31458215,
    "put_volume": "22917643",
    "put_call_ratio": "0.7285",
    "delta": "",
}
UNREADABLE_NUMBERS: list[Any] = ["", "n/a", "NaN", "Infinity", "1e999", 10**400, True, [1], {}, None]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (*TRADE, *AGGREGATE),
        json_values | st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]*)?([eE][0-9]{1,3})?", fullmatch=True),
    ),
)


def a_webhook(topic: str | None, payload: Any, **changes: Any) -> LiveWebhook:
    """Return a webhook as the importer decodes it."""
    message = live_webhook(Webhook(topic=topic, payload=payload, **changes), RECEIVED)
    decoded = decode("gex.feed.uw.any", encode(message))
    assert isinstance(decoded, LiveWebhook)
    return decoded


def trade_of(payload: Any, **changes: Any) -> dict[str, Any]:
    row = rows_of(a_webhook("option_trades_super_algo", payload, **changes)).trade
    assert row is not None
    return dict(zip(TRADE_TYPES, row, strict=True))


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a database with the tables of webhooks alone."""
    with duckdb.connect() as connection:
        connection.execute((ROOT / "services/importer/lake/schema/migrations/0002_live.sql").read_text())
        yield connection


@pytest.mark.parametrize(
    ("table", "types"),
    [
        ("universal_webhooks", WEBHOOK_TYPES),
        ("option_trades_events", TRADE_TYPES),
        ("market_agg_state", AGGREGATE_TYPES),
    ],
)
def test_a_row_has_the_columns_of_its_table(
    tables: duckdb.DuckDBPyConnection, table: str, types: dict[str, str]
) -> None:
    found = tables.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? "
        "ORDER BY ordinal_position",
        [table],
    ).fetchall()
    assert found == list(types.items())


def test_a_real_trade_is_read_field_by_field() -> None:
    assert trade_of(TRADE) == {
        "received_at": RECEIVED,
        "topic": "option_trades_super_algo",
        "topic_symbol": None,
        "ticker": "ARM",
        "option_chain_id": "ARM260116C00118000",
        "type": "call",
        "strike": 118.0,
        "expiry": date(2026, 1, 16),
        "dte": 9,
        "price": 2.8,
        "size": 500,
        "premium": 140_000.0,
        "volume": 863,
        "open_interest": 227,
        "underlying_price": 115.695,
        "implied_volatility": 0.525,
        "delta": 0.422,
        "gamma": 0.041,
        "theta": -0.207,
        "vega": 0.071,
        "rho": 0.011,
        "tags": '["ask_side","bullish"]',
        "executed_at": datetime(2026, 1, 7, 20, 0, 32, 287_000, tzinfo=UTC),
        "trade_id": "674a5743-41a1-48c3-8825-7b94c96b2182",
        "is_index_option": False,
        "raw": msgspec.json.encode(TRADE).decode(),
    }


def test_every_webhook_is_kept_as_it_came() -> None:
    message = a_webhook("dark_pool_socket", {"price": 1, "_computed": {"is_sweep": True}}, event="new_msg")
    message = msgspec.structs.replace(
        message, payload=msgspec.structs.replace(message.payload, source_ip="192.0.2.7", user_agent="curl")
    )
    payload = '{"price":1,"_computed":{"is_sweep":true}}'
    row = (message.id, RECEIVED, "dark_pool_socket", "new_msg", payload, "192.0.2.7", "curl")
    assert rows_of(message) == (row, None, None)


def test_the_topic_has_its_symbol_as_it_was_sent() -> None:
    rows = rows_of(a_webhook("option_trades_super_algo", TRADE, topic_symbol="SPX"))
    assert rows.webhook[2] == "option_trades_super_algo:SPX"
    assert rows.trade is not None
    assert rows.trade[1:3] == ("option_trades_super_algo", "SPX")


def test_a_market_aggregate_is_read_with_numbers_in_strings() -> None:
    rows = rows_of(a_webhook("market_agg_socket", AGGREGATE))
    assert rows.trade is None
    assert rows.aggregate == (
        *(RECEIVED, date(2026, 1, 7), 7_136_124_891.0, 4_612_332_185.5, 31_458_215, 22_917_643, 0.7285),
        *(None,) * 6,
    )


def test_the_official_socket_s_names_and_times_are_read() -> None:
    trade = {
        "option_symbol": "SPXW251114P06750000",
        "executed_at": 1_763_132_400_123,
        "size": "3",
        "open_interest": "",
    }
    row = rows_of(a_webhook("option_trades", {"data": trade, "seq": 1}, topic_symbol="SPX")).trade
    assert row is not None
    found = dict(zip(TRADE_TYPES, row, strict=True))
    assert (found["ticker"], found["type"], found["strike"]) == ("SPXW", "put", 6750.0)
    assert (found["size"], found["open_interest"], found["is_index_option"]) == (3, None, True)
    assert found["executed_at"] == datetime(2025, 11, 14, 15, 0, 0, 123_000, tzinfo=UTC)
    assert found["dte"] == 0


@pytest.mark.parametrize(
    ("executed_at", "dte"),
    [("2026-01-16T04:59:59Z", 1), ("2026-01-16T05:00:00Z", 0), ("2026-01-17T12:00:00Z", -1), ("soon", 9)],
)
def test_the_days_to_expiration_are_counted_in_new_york(executed_at: str, dte: int) -> None:
    """A trade without a time counts from the moment when it was received."""
    assert trade_of({**TRADE, "executed_at": executed_at})["dte"] == dte


@pytest.mark.parametrize(
    ("record", "is_index"),
    [
        ({"option_chain_id": "ABC260116C00118000", "issue_type": "Index"}, True),
        ({"option_chain_id": "NDXP260116C00118000"}, True),
        ({"option_chain_id": "SPY260116C00118000", "issue_type": "ETF"}, False),
        ({"option_chain_id": "unreadable"}, None),
    ],
)
def test_an_option_on_an_index_is_known_by_issue_type_or_root(
    record: dict[str, str], is_index: bool | None
) -> None:
    assert trade_of(record)["is_index_option"] is is_index


def test_an_unreadable_symbol_leaves_the_sender_s_own_fields() -> None:
    own = {"underlying_symbol": "ARM", "option_type": "Put", "strike": "118", "expiry": "2026-01-16"}
    row = trade_of({"option_chain_id": "ARM 118 call", **own})
    found = (row["option_chain_id"], row["ticker"], row["type"], row["strike"], row["expiry"], row["dte"])
    assert found == ("ARM 118 call", "ARM", "put", 118.0, date(2026, 1, 16), 9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(["price"], UNREADABLE_NUMBERS),
        *itertools.product(["size"], ["2.5", 2**63, "-9223372036854775809", 1e300, "1e3000", False]),
        *itertools.product(["executed_at"], ["yesterday", -1, 10**30, "0001-01-01T00:00:00+14:00", []]),
    ],
)
def test_a_field_that_cannot_be_read_is_null_and_the_raw_json_has_it(field: str, value: Any) -> None:
    row = trade_of({**TRADE, field: value})
    assert row[field] is None
    assert row["ticker"] == "ARM"
    assert json.loads(row["raw"])[field] == value


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("size", "500.0", 500),
        ("size", 5e2, 500),
        ("size", " 500 ", 500),
        ("price", "1.5e-3", 0.0015),
        ("price", "-.5", -0.5),
        ("executed_at", "1763132400", datetime(2025, 11, 14, 15, tzinfo=UTC)),
        ("executed_at", 1_763_132_400_000_000_000, datetime(2025, 11, 14, 15, tzinfo=UTC)),
        ("executed_at", "2025-11-14T10:00:00-05:00", datetime(2025, 11, 14, 15, tzinfo=UTC)),
        ("executed_at", "2025-11-14 15:00:00", datetime(2025, 11, 14, 15, tzinfo=UTC)),
    ],
)
def test_numbers_and_times_are_read_from_whatever_form_they_have(field: str, value: Any, read: Any) -> None:
    assert trade_of({**TRADE, field: value})[field] == read


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("option_trades_super_algo", {"price": "2.80"}),
        ("option_trades_super_algo", [TRADE]),
        ("option_trades_super_algo", "text"),
        ("market_agg_socket", {"call": 1}),
        ("market_agg_socket", None),
        ("flow-alerts", TRADE),
        (None, TRADE),
    ],
)
def test_what_is_not_recognized_is_kept_raw_alone(topic: str | None, payload: Any) -> None:
    rows = rows_of(a_webhook(topic, payload))
    assert (rows.trade, rows.aggregate) == (None, None)
    assert json.loads(rows.webhook[4]) == payload


@settings(max_examples=examples(50), deadline=None)  # DuckDB takes some 20 ms for each
@given(
    topic=st.none() | st.sampled_from(["option_trades_super_algo", "market_agg_socket"]) | st.text(),
    payload=json_values | fields | fields.map(lambda record: {**TRADE, **record}),
)
def test_any_payload_can_be_stored(
    tables: duckdb.DuckDBPyConnection, topic: str | None, payload: Any
) -> None:
    rows = rows_of(a_webhook(topic, payload, event=topic))
    names = ("universal_webhooks", "option_trades_events", "market_agg_state")
    tables.execute("BEGIN")
    for name, row in zip(names, rows, strict=True):
        if row is not None:
            tables.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
    held = tables.execute("SELECT topic, payload_json FROM universal_webhooks").fetchall()
    counts = [len(tables.execute(f"FROM {name}").fetchall()) for name in names]
    tables.execute("ROLLBACK")
    assert held[0][0] == topic
    assert json.loads(held[0][1]) == payload
    assert counts == [int(row is not None) for row in rows]


def test_a_message_without_a_time_zone_cannot_be_stored() -> None:
    naive = msgspec.structs.replace(a_webhook("news", {}), occurred_at=RECEIVED.replace(tzinfo=None))
    with pytest.raises(MalformedMessage, match="time zone") as caught:
        rows_of(naive)
    assert isinstance(caught.value, Terminal)
