"""Merge the snapshots of a batch into ``gex_snapshots`` and ``gex_strikes``.

A row of history stays as it is. A live row keeps the values that the batch does not have; its strikes are
replaced as a whole. What a batch does not change is not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import duckdb
import msgspec

from services.importer.feeds.columns import registered
from services.importer.feeds.merge import VALUES, Key, MergedSnapshot
from shared.gexbot.partition import Partition

SNAPSHOTS: Final = "batch_snapshots"
STRIKES: Final = "batch_strikes"
"""The temporary tables of the rows that are written."""

_INTEGERS: Final = ("min_dte", "sec_min_dte")
_TEXT: Final = "max_priors"
_KEY_TYPES: Final = {"timestamp": "BIGINT", "ticker": "VARCHAR", "endpoint": "VARCHAR"}
_VALUE_TYPES: Final = {
    name: "VARCHAR" if name == _TEXT else "INTEGER" if name in _INTEGERS else "DOUBLE" for name in VALUES
}
_SNAPSHOT_TYPES: Final = {**_KEY_TYPES, "trading_day": "DATE", **_VALUE_TYPES, "strike_count": "BIGINT"}
_STRIKE_TYPES: Final = {
    **_KEY_TYPES,
    "strike": "DOUBLE",
    "gamma": "DOUBLE",
    "oi_gamma": "DOUBLE",
    "priors": "VARCHAR",
}
_KEYS: Final = ", ".join(_KEY_TYPES)
_STRIKE: Final = "row(strike, gamma, oi_gamma, priors)"
_ENCODER: Final = msgspec.json.Encoder()

_MERGED: Final = ", ".join(f"coalesce(new.{name}, held.{name}) AS {name}" for name in VALUES)
_CHANGED: Final = " OR ".join(
    f"(new.{name} IS NOT NULL AND new.{name} IS DISTINCT FROM held.{name})" for name in VALUES
)


def write_snapshots(
    connection: duckdb.DuckDBPyConnection, merged: Mapping[Key, MergedSnapshot], number: int
) -> frozenset[Partition]:
    """Write the snapshots of a batch, and return the partitions that have changed.

    Args:
        connection: in a transaction.
        merged: the snapshots.
        number: of the batch.
    """
    _hand_over(connection, merged, number)
    _find_held(connection, _ranges(merged))
    _compare(connection, number)
    _write(connection)
    return _count(connection, number)


def _hand_over(
    connection: duckdb.DuckDBPyConnection, merged: Mapping[Key, MergedSnapshot], number: int
) -> None:
    """Make temporary tables of the batch: what it has, before it is compared with what is held."""
    with registered(connection, "arrived", _SNAPSHOT_TYPES, _snapshot_columns(merged)):
        connection.execute("CREATE OR REPLACE TEMP TABLE batch_arrived AS FROM arrived")
    with registered(connection, "arrived", _STRIKE_TYPES, _strike_columns(merged)):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {STRIKES} AS "  # noqa: S608 (constants)
            f"SELECT *, CAST({number} AS BIGINT) AS sequence FROM arrived"
        )


def _find_held(connection: duckdb.DuckDBPyConnection, ranges: Iterable[tuple[int, int]]) -> None:
    """Copy the rows that the lake has of the batch's keys.

    DuckDB skips the row groups outside of a range: the cost does not grow with the tables.
    """
    for held, table in (("batch_held", "gex_snapshots"), ("batch_held_strikes", "gex_strikes")):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {held} AS SELECT *, rowid AS row FROM {table} LIMIT 0"  # noqa: S608
        )
        for bounds in ranges:
            connection.execute(
                f"INSERT INTO {held} SELECT *, rowid FROM {table} SEMI JOIN batch_arrived USING ({_KEYS}) "  # noqa: S608
                "WHERE timestamp BETWEEN ? AND ?",
                bounds,
            )


def _compare(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    """Find out what changes: remove from the batch what does not."""
    connection.execute(
        f"""
        DELETE FROM batch_arrived AS new USING batch_held AS held
        WHERE {_same_key("new", "held")} AND held.source <> 'live';
        CREATE OR REPLACE TEMP TABLE batch_same_strikes AS
        SELECT {_KEYS} FROM (
            SELECT {_KEYS}, list({_STRIKE} ORDER BY rowid) AS strikes
            FROM {STRIKES} SEMI JOIN batch_held_strikes USING ({_KEYS}) GROUP BY ALL
        ) AS new JOIN (
            SELECT {_KEYS}, list({_STRIKE} ORDER BY row) AS strikes FROM batch_held_strikes GROUP BY ALL
        ) AS held USING ({_KEYS})
        WHERE new.strikes IS NOT DISTINCT FROM held.strikes;
        DELETE FROM {STRIKES} AS strike USING batch_same_strikes AS same
        WHERE {_same_key("strike", "same")};
        DELETE FROM {STRIKES} AS strike USING batch_held AS held
        WHERE {_same_key("strike", "held")} AND held.source <> 'live';
        CREATE OR REPLACE TEMP TABLE {SNAPSHOTS} AS
        SELECT new.timestamp, new.ticker, new.endpoint, {_MERGED}, 'live' AS source,
            CAST(NULL AS VARCHAR) AS job_id, CAST({number} AS BIGINT) AS sequence
        FROM batch_arrived AS new LEFT JOIN batch_held AS held USING ({_KEYS})
        WHERE held.row IS NULL OR {_CHANGED};
        """  # noqa: S608 (names of ours)
    )


def _write(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace the rows that have changed."""
    for table, changed, held in (
        ("gex_snapshots", SNAPSHOTS, "batch_held"),
        ("gex_strikes", STRIKES, "batch_held_strikes"),
    ):
        (bounds,) = connection.execute(
            f"SELECT min(timestamp), max(timestamp) FROM {held} SEMI JOIN {changed} USING ({_KEYS})"  # noqa: S608
        ).fetchall()
        if bounds[0] is not None:
            connection.execute(
                f"DELETE FROM {table} WHERE timestamp BETWEEN ? AND ? AND rowid IN "  # noqa: S608
                f"(SELECT row FROM {held} SEMI JOIN {changed} USING ({_KEYS}))",
                bounds,
            )
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE sequence FROM {changed}")  # noqa: S608


def _count(connection: duckdb.DuckDBPyConnection, number: int) -> frozenset[Partition]:
    """Add to the counts of the partitions that have changed, and return these."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE batch_counts AS
        WITH removed AS (SELECT {_KEYS}, count(*) AS rows FROM batch_held_strikes GROUP BY ALL)
        SELECT arrived.ticker, arrived.endpoint, arrived.trading_day,
            count_if(held.row IS NULL) AS snapshots,
            coalesce(sum(arrived.strike_count - coalesce(removed.rows, 0))
                FILTER (strikes.timestamp IS NOT NULL), 0) AS strike_rows
        FROM batch_arrived AS arrived
        LEFT JOIN {SNAPSHOTS} AS changed USING ({_KEYS})
        LEFT JOIN (SELECT DISTINCT {_KEYS} FROM {STRIKES}) AS strikes USING ({_KEYS})
        LEFT JOIN batch_held AS held USING ({_KEYS})
        LEFT JOIN removed USING ({_KEYS})
        WHERE changed.timestamp IS NOT NULL OR strikes.timestamp IS NOT NULL
        GROUP BY ALL;
        UPDATE live_partitions AS held
        SET snapshots = held.snapshots + new.snapshots, strike_rows = held.strike_rows + new.strike_rows,
            last_sequence = {number}
        FROM batch_counts AS new WHERE {_same_partition("held", "new")};
        INSERT INTO live_partitions
        SELECT ticker, endpoint, trading_day, snapshots, strike_rows, {number}, 0
        FROM batch_counts ANTI JOIN live_partitions USING (ticker, endpoint, trading_day);
        """  # noqa: S608 (names of ours)
    )
    found = connection.execute("SELECT ticker, endpoint, trading_day FROM batch_counts").fetchall()
    return frozenset(Partition(*row) for row in found)


def _ranges(merged: Mapping[Key, MergedSnapshot]) -> list[tuple[int, int]]:
    """Return the range of timestamps of each trading day of a batch."""
    bounds: dict[Any, tuple[int, int]] = {}
    for key, snapshot in merged.items():
        first, last = bounds.get(snapshot.trading_day, (key.timestamp, key.timestamp))
        bounds[snapshot.trading_day] = min(first, key.timestamp), max(last, key.timestamp)
    return list(bounds.values())


def _snapshot_columns(merged: Mapping[Key, MergedSnapshot]) -> list[list[Any]]:
    rows = [
        (*key, snapshot.trading_day, *snapshot.values, len(snapshot.strikes or ()))
        for key, snapshot in merged.items()
    ]
    columns = dict(zip(_SNAPSHOT_TYPES, map(list, zip(*rows, strict=True)), strict=True))
    columns[_TEXT] = [_json(value) for value in columns[_TEXT]]
    return list(columns.values())


def _strike_columns(merged: Mapping[Key, MergedSnapshot]) -> list[list[Any]]:
    rows = [(key, strike) for key, snapshot in merged.items() for strike in snapshot.strikes or ()]
    return [
        [key.timestamp for key, _ in rows],
        [key.ticker for key, _ in rows],
        [key.endpoint for key, _ in rows],
        [strike.strike for _, strike in rows],
        [strike.gamma for _, strike in rows],
        [strike.oi_gamma for _, strike in rows],
        [_json(strike.priors) for _, strike in rows],
    ]


def _json(value: list[Any] | None) -> str | None:
    """Return an array as the text that the reader of history files keeps: without blanks."""
    if value is None:
        return None
    text = _ENCODER.encode(value).decode()
    if "e" not in text and "0.0000" not in text:
        return text
    # Small and large numbers as most writers of JSON have them: 1e-07 and 1e-05, not 1e-7 and 0.00001.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _same_key(left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in _KEY_TYPES)


def _same_partition(left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in ("ticker", "endpoint", "trading_day"))
