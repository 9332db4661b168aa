"""Merge the snapshots of a batch into ``gex_snapshots`` and ``gex_strikes``.

A row of history stays as it is. A live row keeps the values that the batch does not have; its strikes are
replaced as a whole. What a batch does not change is not written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from services.importer.feeds.columns import registered
from services.importer.feeds.json_text import json_text
from services.importer.feeds.merge import VALUES, Key, MergedSnapshot
from shared.bus.feeds.live_messages import Strike
from shared.gexbot.partition import Partition

SNAPSHOTS: Final = "batch_snapshots"
STRIKES: Final = "batch_strikes"
"""The temporary tables of the rows that are written."""

_INTEGERS: Final = ("min_dte", "sec_min_dte")
_KEY_TYPES: Final = {"timestamp": "BIGINT", "ticker": "VARCHAR", "endpoint": "VARCHAR"}
_SNAPSHOT_TYPES: Final = {
    **_KEY_TYPES,
    **dict.fromkeys(VALUES, "DOUBLE"),
    **dict.fromkeys(_INTEGERS, "INTEGER"),
    "max_priors": "VARCHAR",
}
_STRIKE_TYPES: Final = {
    **_KEY_TYPES,
    "strike": "DOUBLE",
    "gamma": "DOUBLE",
    "oi_gamma": "DOUBLE",
    "priors": "VARCHAR",
}
_COUNT_TYPES: Final = {
    "ticker": "VARCHAR",
    "endpoint": "VARCHAR",
    "trading_day": "DATE",
    "snapshots": "BIGINT",
    "strike_rows": "BIGINT",
}
_KEYS: Final = ", ".join(_KEY_TYPES)
_MAX_PRIORS: Final = VALUES.index("max_priors")


@dataclass
class _Change:
    """What a batch has of a snapshot, and what of it is to be written."""

    trading_day: date
    values: list[Any]
    strikes: list[Strike]
    """Empty if they stay."""
    is_new: bool = True
    is_changed: bool = True
    """Whether its row is written."""
    replaced_strikes: int = 0
    """How many rows its strikes replace."""


def write_snapshots(
    connection: duckdb.DuckDBPyConnection, merged: Mapping[Key, MergedSnapshot], number: int
) -> frozenset[Partition]:
    """Write the snapshots of a batch, and return the partitions that have changed.

    Args:
        connection: in a transaction.
        merged: the snapshots.
        number: of the batch.
    """
    changes = {key: _change_of(snapshot) for key, snapshot in merged.items()}
    _compare_values(connection, changes)
    _compare_strikes(connection, changes)
    rows = {key: change for key, change in changes.items() if change.is_changed}
    strikes = {key: change for key, change in changes.items() if change.strikes}
    _delete(connection, "gex_snapshots", [key for key, change in rows.items() if not change.is_new])
    _delete(connection, "gex_strikes", [key for key, change in strikes.items() if change.replaced_strikes])
    _insert(connection, number, rows, strikes)
    return _count(connection, rows | strikes, number)


def _change_of(snapshot: MergedSnapshot) -> _Change:
    values = list(snapshot.values)
    priors = json_text(values[_MAX_PRIORS])
    values[_MAX_PRIORS] = None if priors is None else priors.decode()
    return _Change(snapshot.trading_day, values, snapshot.strikes or [])


def _strike_row(strike: Strike) -> tuple[Any, ...]:
    priors = json_text(strike.priors)
    return strike.strike, strike.gamma, strike.oi_gamma, None if priors is None else priors.decode()


def _compare_values(connection: duckdb.DuckDBPyConnection, changes: dict[Key, _Change]) -> None:
    """Merge the rows that the lake has into the changes, and drop those of history."""
    columns = f"source, {', '.join(VALUES)}"
    for timestamp, ticker, endpoint, source, *held in _held(connection, "gex_snapshots", columns, changes):
        key = Key(timestamp, ticker, endpoint)
        if source != "live":
            del changes[key]
            continue
        change = changes[key]
        change.values = [old if new is None else new for new, old in zip(change.values, held, strict=True)]
        change.is_new, change.is_changed = False, change.values != held


def _compare_strikes(connection: duckdb.DuckDBPyConnection, changes: dict[Key, _Change]) -> None:
    """Drop the strikes that are those that the lake has, and count those that are replaced."""
    suspect = {key: change for key, change in changes.items() if change.strikes and not change.is_new}
    held: dict[Key, list[tuple[Any, ...]]] = {}
    columns = "strike, gamma, oi_gamma, priors"
    for timestamp, ticker, endpoint, *row in _held(connection, "gex_strikes", columns, suspect):
        held.setdefault(Key(timestamp, ticker, endpoint), []).append(tuple(row))
    for key, rows in held.items():
        change = changes[key]
        change.replaced_strikes = len(rows)
        if rows == [_strike_row(strike) for strike in change.strikes]:
            change.strikes = []


def _held(
    connection: duckdb.DuckDBPyConnection, table: str, columns: str, changes: Mapping[Key, _Change]
) -> list[tuple[Any, ...]]:
    """Return the rows that a table has of some snapshots, in their order.

    DuckDB skips the row groups outside of the range of a trading day: the cost does not grow with the table.
    """
    rows: list[tuple[Any, ...]] = []
    if changes:
        with registered(connection, "arrived", _KEY_TYPES, list(zip(*changes, strict=True))):
            for bounds in _ranges(changes):
                rows += connection.execute(
                    f"SELECT {_KEYS}, {columns} FROM {table} SEMI JOIN arrived USING ({_KEYS}) "  # noqa: S608
                    "WHERE timestamp BETWEEN ? AND ? ORDER BY rowid",
                    bounds,
                ).fetchall()
    return rows


def _delete(connection: duckdb.DuckDBPyConnection, table: str, keys: Collection[Key]) -> None:
    if keys:
        bounds = [min(key.timestamp for key in keys), max(key.timestamp for key in keys)]
        with registered(connection, "replaced", _KEY_TYPES, list(zip(*keys, strict=True))):
            connection.execute(
                f"DELETE FROM {table} USING replaced WHERE {table}.timestamp BETWEEN ? AND ? "  # noqa: S608
                + "".join(f"AND {table}.{name} = replaced.{name} " for name in _KEY_TYPES),
                bounds,
            )


def _insert(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    rows: Mapping[Key, _Change],
    strikes: Mapping[Key, _Change],
) -> None:
    """Insert rows into both tables, and into the temporary ones."""
    columns = _columns([(*key, *change.values) for key, change in rows.items()], len(_SNAPSHOT_TYPES))
    with registered(connection, "arrived", _SNAPSHOT_TYPES, columns):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {SNAPSHOTS} AS "  # noqa: S608 (constants)
            "SELECT *, 'live' AS source, CAST(NULL AS VARCHAR) AS job_id, "
            f"CAST({number} AS BIGINT) AS sequence FROM arrived"
        )
    with registered(connection, "arrived", _STRIKE_TYPES, _strike_columns(strikes)):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {STRIKES} AS "  # noqa: S608 (constants)
            f"SELECT *, CAST({number} AS BIGINT) AS sequence FROM arrived"
        )
    for table, temporary, changed in (("gex_snapshots", SNAPSHOTS, rows), ("gex_strikes", STRIKES, strikes)):
        if changed:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE sequence FROM {temporary}")  # noqa: S608


def _strike_columns(changes: Mapping[Key, _Change]) -> list[list[Any]]:
    timestamps: list[int] = []
    tickers: list[bytes] = []
    endpoints: list[bytes] = []
    strikes: list[Strike] = []
    for key, change in changes.items():
        size = len(change.strikes)
        timestamps += [key.timestamp] * size
        tickers += [key.ticker.encode()] * size
        endpoints += [key.endpoint.encode()] * size
        strikes += change.strikes
    return [
        timestamps,
        tickers,
        endpoints,
        [strike.strike for strike in strikes],
        [strike.gamma for strike in strikes],
        [strike.oi_gamma for strike in strikes],
        [json_text(strike.priors) for strike in strikes],
    ]


def _count(
    connection: duckdb.DuckDBPyConnection, changes: Mapping[Key, _Change], number: int
) -> frozenset[Partition]:
    """Add to the counts of the partitions that have changed, and return these."""
    counts: dict[Partition, tuple[int, int]] = {}
    for key, change in changes.items():
        partition = Partition(key.ticker, key.endpoint, change.trading_day)
        snapshots, strike_rows = counts.get(partition, (0, 0))
        added = len(change.strikes) - change.replaced_strikes if change.strikes else 0
        counts[partition] = snapshots + change.is_new, strike_rows + added
    rows = [
        (partition.ticker, partition.endpoint, partition.trading_day, *count)
        for partition, count in counts.items()
    ]
    with registered(connection, "counted", _COUNT_TYPES, _columns(rows, len(_COUNT_TYPES))):
        connection.execute(
            f"""
            UPDATE live_partitions AS held
            SET snapshots = held.snapshots + new.snapshots, strike_rows = held.strike_rows + new.strike_rows,
                last_sequence = {number}
            FROM counted AS new
            WHERE held.ticker = new.ticker AND held.endpoint = new.endpoint
                AND held.trading_day = new.trading_day
            """  # noqa: S608 (a number)
        )
        connection.execute(
            f"INSERT INTO live_partitions SELECT *, {number}, 0 FROM counted "  # noqa: S608 (a number)
            "ANTI JOIN live_partitions USING (ticker, endpoint, trading_day)"
        )
    return frozenset(counts)


def _ranges(changes: Mapping[Key, _Change]) -> list[tuple[int, int]]:
    """Return the range of timestamps of each trading day."""
    bounds: dict[date, tuple[int, int]] = {}
    for key, change in changes.items():
        first, last = bounds.get(change.trading_day, (key.timestamp, key.timestamp))
        bounds[change.trading_day] = min(first, key.timestamp), max(last, key.timestamp)
    return list(bounds.values())


def _columns(rows: Collection[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
