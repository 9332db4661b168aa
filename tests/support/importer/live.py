"""Batches of live rows in a lake, stored as the importer stores them, but without messages."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, Final

import duckdb

from services.importer.lake.live.stored_batch import LiveHour, StoredBatch
from services.importer.lake.live.tables import SNAPSHOTS, STRIKES
from services.importer.lake.statements import transaction
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms, trading_day_of
from tests.support.importer.lake import LakeOnDisk

OPEN_MS: Final = 1763130600_000
"""2025-11-14, 09:30 in New York."""
WEBHOOKS: Final = "universal_webhooks"

_OF: Final = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"


@dataclass(frozen=True)
class LiveSnapshot:
    """A snapshot as a message has it; without strikes, those that are stored stay."""

    second: int
    spot: float = 1.0
    strikes: tuple[float, ...] | None = (25000.0, 25010.0)
    ticker: str = "NQ_NDX"
    endpoint: str = "gex_zero"

    @property
    def timestamp(self) -> int:
        return OPEN_MS + self.second * 1000


class LiveFeed:
    """Stores batches, one after another, and gives their rows to queries."""

    def __init__(self, lake: LakeOnDisk) -> None:
        self._lake = lake
        self.number = 0
        self.stored = 0
        """The number of the last batch whose rows queries read."""

    def store(
        self, snapshots: Iterable[LiveSnapshot] = (), webhooks: Iterable[tuple[str, datetime]] = ()
    ) -> StoredBatch:
        """Store a batch; its webhooks are ids with times of arrival."""
        self.number += 1
        taken, hooks = list(snapshots), list(webhooks)
        partitions = {Partition(one.ticker, one.endpoint, trading_day_of(one.timestamp)) for one in taken}
        with self._lake.lake.live_writing(partitions) as connection:
            with transaction(connection):
                batch = self._store(connection, taken, hooks)
            self._lake.lake.live_files.append(connection, batch)
        self.stored = self.number
        return batch

    def _store(
        self,
        connection: duckdb.DuckDBPyConnection,
        taken: list[LiveSnapshot],
        hooks: list[tuple[str, datetime]],
    ) -> StoredBatch:
        tables: dict[str, Sized] = {
            SNAPSHOTS: taken,
            STRIKES: [one for one in taken if one.strikes],
            WEBHOOKS: hooks,
        }
        for table in tables:
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE stored_{table} AS "
                f"SELECT *, 0::BIGINT AS sequence FROM {table} LIMIT 0"
            )
        for one in taken:
            key = [one.timestamp, one.ticker, one.endpoint]
            connection.execute(
                f"INSERT INTO stored_{SNAPSHOTS} BY NAME SELECT ? AS timestamp, ? AS ticker, ? AS endpoint, "
                "? AS spot_price, 'live' AS source, ? AS sequence",
                [*key, one.spot, self.number],
            )
            connection.execute(
                f"INSERT INTO stored_{STRIKES} BY NAME SELECT ? AS timestamp, ? AS ticker, ? AS endpoint, "
                "unnest(?::DOUBLE[]) AS strike, ?::DOUBLE AS gamma, ? AS sequence",
                [*key, list(one.strikes or ()), one.spot, self.number],
            )
        for webhook, received_at in hooks:
            connection.execute(
                f"INSERT INTO stored_{WEBHOOKS} BY NAME SELECT ? AS id, ?::TIMESTAMPTZ AS received_at, "
                "'{}' AS payload_json, ? AS sequence",
                [webhook, received_at, self.number],
            )
        for table in (SNAPSHOTS, STRIKES):
            connection.execute(
                f"DELETE FROM {table} AS held USING stored_{table} AS new "
                "WHERE held.timestamp = new.timestamp AND held.ticker = new.ticker "
                "AND held.endpoint = new.endpoint"
            )
        for table in tables:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE (sequence) FROM stored_{table}")
        partitions = {Partition(one.ticker, one.endpoint, trading_day_of(one.timestamp)) for one in taken}
        for each in partitions:
            self._note(connection, each)
        hours = {LiveHour(WEBHOOKS, at.replace(minute=0, second=0, microsecond=0)) for _, at in hooks}
        for hour in hours:
            self._note_hour(connection, hour)
        connection.execute("DELETE FROM feed_position")
        connection.execute(
            "INSERT INTO feed_position VALUES ('FEED', TIMESTAMPTZ '2025-11-14', ?, 0, now())", [self.number]
        )
        named = {table: f"stored_{table}" for table, rows in tables.items() if rows}
        return StoredBatch(self.number, frozenset(partitions), frozenset(hours), named)

    def _note(self, connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
        key = [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
        live = f"FROM {SNAPSHOTS} WHERE {_OF} AND source = 'live'"
        of_strikes = f"FROM {STRIKES} WHERE {_OF} AND timestamp IN (SELECT timestamp {live})"
        ((snapshots,),) = connection.execute(f"SELECT count(*) {live}", key).fetchall()
        ((strikes,),) = connection.execute(f"SELECT count(*) {of_strikes}", key * 2).fetchall()
        self._write(connection, "live_partitions", list(astuple(partition)), [snapshots, strikes])

    def _note_hour(self, connection: duckdb.DuckDBPyConnection, hour: LiveHour) -> None:
        count = f"SELECT count(*) FROM {hour.table} WHERE date_trunc('hour', received_at) = ?"
        ((rows,),) = connection.execute(count, [hour.hour]).fetchall()
        self._write(connection, "live_hours", [hour.table, hour.hour], [rows])

    def _write(
        self, connection: duckdb.DuckDBPyConnection, table: str, key: list[Any], counts: list[int]
    ) -> None:
        names = ("ticker", "endpoint", "trading_day") if len(key) == 3 else ("table_name", "hour")
        where = " AND ".join(f"{name} = ?" for name in names)
        found = connection.execute(f"DELETE FROM {table} WHERE {where} RETURNING exported_sequence", key)
        exported = (found.fetchone() or (0,))[0]
        values = [*key, *counts, self.number, exported]
        places = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} VALUES ({places})", values)
