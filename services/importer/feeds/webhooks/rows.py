"""Write the webhooks of a batch: every one as it came, and what is recognized in its own table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from services.importer.feeds.columns import registered
from services.importer.feeds.webhooks.tables import AGGREGATE_TYPES, TRADE_TYPES, WEBHOOK_TYPES, WebhookRows
from services.importer.lake.live.stored_batch import LiveHour


@dataclass(frozen=True)
class WrittenWebhooks:
    """The rows of a batch that were not there.

    Args:
        hours: in which they arrived.
        tables: the temporary table of each table's rows.
    """

    hours: frozenset[LiveHour]
    tables: dict[str, str]


def write_webhooks(
    connection: duckdb.DuckDBPyConnection, webhooks: Iterable[WebhookRows], number: int
) -> WrittenWebhooks:
    """Write the webhooks of a batch that the lake does not have.

    Args:
        connection: in a transaction.
        webhooks: in the order of the stream.
        number: of the batch.
    """
    new = _new(connection, list({_key(rows): rows for rows in webhooks}.values()))
    hours: set[LiveHour] = set()
    tables: dict[str, str] = {}
    for table, types, rows in (
        ("universal_webhooks", WEBHOOK_TYPES, [each.webhook for each in new]),
        ("option_trades_events", TRADE_TYPES, [each.trade for each in new if each.trade]),
        ("market_agg_state", AGGREGATE_TYPES, [each.aggregate for each in new if each.aggregate]),
    ):
        if rows:
            tables[table] = _insert(connection, table, types, rows, number)
            hours |= _count(connection, table, tables[table], number)
    return WrittenWebhooks(frozenset(hours), tables)


def _key(rows: WebhookRows) -> tuple[str, datetime]:
    """Return what tells a message that comes again from another one of the same content: its time."""
    identity, received_at, *_ = rows.webhook
    return identity, received_at


def _new(connection: duckdb.DuckDBPyConnection, arrived: list[WebhookRows]) -> list[WebhookRows]:
    """Return the webhooks that are not stored; DuckDB reads the row groups of their range of time."""
    times = [received_at for _, received_at in map(_key, arrived)]
    held = set(
        connection.execute(
            "SELECT id, received_at FROM universal_webhooks WHERE received_at BETWEEN ? AND ?",
            [min(times), max(times)],
        ).fetchall()
    )
    return [rows for rows in arrived if _key(rows) not in held]


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    types: Mapping[str, str],
    rows: Sequence[tuple[Any, ...]],
    number: int,
) -> str:
    """Insert rows into a table, and return the temporary table that has them."""
    temporary = f"batch_{table}"
    with registered(connection, "arrived", types, list(zip(*rows, strict=True))):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {temporary} AS "  # noqa: S608 (names of ours)
            f"SELECT *, CAST({number} AS BIGINT) AS sequence FROM arrived"
        )
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE sequence FROM {temporary}")  # noqa: S608
    return temporary


def _count(connection: duckdb.DuckDBPyConnection, table: str, temporary: str, number: int) -> set[LiveHour]:
    """Add to the counts of the hours that have new rows, and return these."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE batch_counts AS
        SELECT '{table}' AS table_name, date_trunc('hour', received_at) AS hour, count(*) AS rows
        FROM {temporary} GROUP BY ALL;
        UPDATE live_hours AS held SET rows = held.rows + new.rows, last_sequence = {number}
        FROM batch_counts AS new WHERE held.table_name = new.table_name AND held.hour = new.hour;
        INSERT INTO live_hours SELECT table_name, hour, rows, {number}, 0
        FROM batch_counts ANTI JOIN live_hours USING (table_name, hour);
        """  # noqa: S608 (names of ours)
    )
    found = connection.execute("SELECT table_name, hour FROM batch_counts").fetchall()
    return {LiveHour(*row) for row in found}
