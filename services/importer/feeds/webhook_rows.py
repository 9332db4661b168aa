"""Write the webhooks of a batch: every one as it came, and what is recognized in its own table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import duckdb
import msgspec

from services.importer.feeds.columns import registered
from services.importer.lake.stored_batch import LiveHour
from shared.bus.live_messages import LiveWebhook

UNIVERSAL: Final = "universal_webhooks"
_ENCODER: Final = msgspec.json.Encoder()


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
    connection: duckdb.DuckDBPyConnection, messages: Iterable[LiveWebhook], number: int
) -> WrittenWebhooks:
    """Write the webhooks of a batch that the lake does not have.

    Args:
        connection: in a transaction.
        messages: in the order of the stream.
        number: of the batch.
    """
    arrived = list({(message.id, message.occurred_at): message for message in messages}.values())
    first = min(message.occurred_at for message in arrived)
    last = max(message.occurred_at for message in arrived)
    new = _new(connection, arrived, first, last)
    hours: set[LiveHour] = set()
    tables: dict[str, str] = {}
    for table, rows in _rows_by_table(new).items():
        tables[table] = _insert(connection, table, rows, number)
        hours |= _count(connection, table, tables[table], number)
    return WrittenWebhooks(frozenset(hours), tables)


def _new(
    connection: duckdb.DuckDBPyConnection, arrived: list[LiveWebhook], first: datetime, last: datetime
) -> list[LiveWebhook]:
    """Return the messages that are not stored: one that is delivered again has its id and its time."""
    held = set(
        connection.execute(
            f"SELECT id, received_at FROM {UNIVERSAL} WHERE received_at BETWEEN ? AND ?",  # noqa: S608
            [first, last],
        ).fetchall()
    )
    return [message for message in arrived if (message.id, message.occurred_at) not in held]


def _rows_by_table(messages: Sequence[LiveWebhook]) -> dict[str, list[dict[str, Any]]]:
    return {UNIVERSAL: [_universal(message) for message in messages]} if messages else {}


def _universal(message: LiveWebhook) -> dict[str, Any]:
    webhook = message.payload
    topic = webhook.topic
    if topic is not None and webhook.topic_symbol is not None:
        topic = f"{topic}:{webhook.topic_symbol}"
    return {
        "id": message.id,
        "received_at": message.occurred_at,
        "topic": topic,
        "event": webhook.event,
        "payload_json": _ENCODER.encode(webhook.payload).decode(),
        "source_ip": webhook.source_ip,
        "user_agent": webhook.user_agent,
    }


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]], number: int
) -> str:
    """Insert rows into a table, and return the temporary table that has them."""
    temporary = f"batch_{table}"
    types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
    columns = [[row.get(name) for row in rows] for name in types]
    with registered(connection, "arrived", types, columns):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {temporary} AS "  # noqa: S608 (names of ours)
            f"SELECT *, CAST({number} AS BIGINT) AS sequence FROM arrived"
        )
    connection.execute(f"INSERT INTO {table} SELECT * EXCLUDE sequence FROM {temporary}")  # noqa: S608
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
