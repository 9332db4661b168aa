"""What of the live rows is exported as a whole, and how far it is: partitions, hours of webhooks, chains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from services.importer.lake.live import chains as live_chains
from services.importer.lake.live.stored_batch import ChainFile, LiveHour, LiveUnit
from services.importer.lake.statements import quoted, transaction
from shared.gexbot.partition import Partition
from shared.paths import LakePaths

_NOT_EXPORTED: Final = -1
_CHAINS: Final = "../gex/"
_KEYS: Final = {
    Partition: ("live_partitions", "ticker = ? AND endpoint = ? AND trading_day = ?"),
    LiveHour: ("live_hours", "table_name = ? AND hour = ?"),
    ChainFile: ("live_chains", live_chains.KEY),
}


@dataclass(frozen=True)
class LiveRows:
    """A partition, an hour or a file of chains that has live rows, or had some.

    Args:
        unit: which.
        rows: live snapshots of a partition, rows of an hour, or snapshots of chains.
        strike_rows: of these snapshots.
        last: the number of the last batch that changed it.
        exported: the number of the last batch that its Parquet file holds.
    """

    unit: LiveUnit
    rows: int
    strike_rows: int
    last: int
    exported: int

    @property
    def is_dirty(self) -> bool:
        """Whether its Parquet file lacks rows."""
        return self.last > self.exported


Check: TypeAlias = Callable[[duckdb.DuckDBPyConnection, LiveRows, bool], None]
"""Compares a partition or an hour with its files; the last argument is False if they lack rows."""


@dataclass(frozen=True)
class ExportedFile:
    """A Parquet file as it was exported; None while it is being replaced."""

    size_bytes: int | None
    exported_at: datetime | None


def stored_number(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the last batch of FEED that is stored; 0 if none is."""
    query = "SELECT coalesce(max(sequence + sequence_base), 0) FROM feed_position WHERE stream = 'FEED'"
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def every(connection: duckdb.DuckDBPyConnection) -> list[LiveRows]:
    """Return all partitions, hours and chains with live rows."""
    return _select(connection, "snapshots > 0", "true")


def dirty(connection: duckdb.DuckDBPyConnection) -> list[LiveRows]:
    """Return the partitions, hours and chains whose Parquet files lack rows."""
    condition = "last_sequence > exported_sequence"
    return _select(connection, condition, condition)


def mark_exported(connection: duckdb.DuckDBPyConnection, rows: LiveRows) -> None:
    """Note that a Parquet file has the rows that it should have; call it within a transaction."""
    _set_exported(connection, rows.unit, rows.last)


def mark_dirty(connection: duckdb.DuckDBPyConnection, units: Iterable[LiveUnit]) -> None:
    """Have Parquet files with live rows written again; call it within a transaction."""
    for unit in units:
        _set_exported(connection, unit, _NOT_EXPORTED)


def note_beginning(
    connection: duckdb.DuckDBPyConnection, paths: LakePaths, units: Iterable[LiveUnit]
) -> None:
    """Note that Parquet files are about to be replaced by what the database has."""
    files = [[relative_path(paths, parquet_of(paths, unit))] for unit in units]
    with transaction(connection):
        for file in files:
            connection.execute("DELETE FROM live_exports WHERE parquet_path = ?", file)
            connection.execute("INSERT INTO live_exports VALUES (?, NULL, NULL)", file)


def note_file(connection: duckdb.DuckDBPyConnection, paths: LakePaths, unit: LiveUnit) -> None:
    """Note the Parquet file that is in place now; call it within a transaction."""
    file = parquet_of(paths, unit)
    relative, known = relative_path(paths, file), file.stat()
    # Rounded up: a file that is later than its row is compared again.
    at = datetime.fromtimestamp(known.st_mtime, UTC) + timedelta(microseconds=1)
    connection.execute("DELETE FROM live_exports WHERE parquet_path = ?", [relative])
    connection.execute("INSERT INTO live_exports VALUES (?, ?, ?)", [relative, known.st_size, at])


def replace_hour(connection: duckdb.DuckDBPyConnection, rows: LiveRows) -> None:
    """Write the row of an hour of webhooks, but for a higher number that it has; within a transaction."""
    key = list(astuple(rows.unit))
    query = "DELETE FROM live_hours WHERE table_name = ? AND hour = ? RETURNING last_sequence"
    found = connection.execute(query, key).fetchone()
    last = max(rows.last, found[0]) if found else rows.last
    exported = last if rows.exported == rows.last else rows.exported
    connection.execute("INSERT INTO live_hours VALUES (?, ?, ?, ?, ?)", [*key, rows.rows, last, exported])


def exported_files(connection: duckdb.DuckDBPyConnection, paths: LakePaths) -> dict[Path, ExportedFile]:
    """Return the Parquet files with live rows as they were exported, by their paths."""
    found = connection.execute("SELECT parquet_path, parquet_bytes, exported_at FROM live_exports").fetchall()
    return {_absolute_path(paths, path): ExportedFile(size, at) for path, size, at in found}


def parquet_of(paths: LakePaths, unit: LiveUnit) -> Path:
    """Return the Parquet file of a partition, an hour or chains."""
    if isinstance(unit, LiveHour):
        return paths.webhooks(unit.table, unit.hour)
    if isinstance(unit, ChainFile):
        return paths.chains(unit.symbol, unit.day, unit.timestamp)
    return paths.parquet(unit)


def relative_path(paths: LakePaths, file: Path) -> str:
    """Return a path below the folder of all Parquet files; those of chains are below ``../gex``."""
    if file.is_relative_to(paths.chains_root):
        return f"{_CHAINS}{file.relative_to(paths.chains_root).as_posix()}"
    return file.relative_to(paths.webhooks_root.parent).as_posix()


def _absolute_path(paths: LakePaths, relative: str) -> Path:
    if relative.startswith(_CHAINS):
        return paths.chains_root / relative.removeprefix(_CHAINS)
    return paths.webhooks_root.parent / relative


def hour_query(hour: LiveHour) -> str:
    """Return the query of an hour's rows."""
    start, end = (quoted(at.isoformat()) for at in (hour.hour, hour.hour + timedelta(hours=1)))
    return (
        f"FROM {hour.table} WHERE received_at >= TIMESTAMPTZ {start} AND received_at < TIMESTAMPTZ {end} "
        "ORDER BY received_at, rowid"
    )


def _select(connection: duckdb.DuckDBPyConnection, of_snapshots: str, of_hours: str) -> list[LiveRows]:
    partitions = connection.execute(
        "SELECT ticker, endpoint, trading_day, snapshots, strike_rows, last_sequence, exported_sequence "  # noqa: S608
        f"FROM live_partitions WHERE {of_snapshots} ORDER BY ticker, endpoint, trading_day"
    ).fetchall()
    hours = connection.execute(
        "SELECT table_name, hour, rows, 0, last_sequence, exported_sequence "  # noqa: S608 (constants)
        f"FROM live_hours WHERE {of_hours} ORDER BY table_name, hour"
    ).fetchall()
    chains = connection.execute(
        "SELECT market_symbol, snapshot_date, timestamp, snapshots, strike_rows, last_sequence, "  # noqa: S608
        f"exported_sequence FROM live_chains WHERE {of_snapshots} ORDER BY ALL"
    ).fetchall()
    return [
        *(LiveRows(Partition(*row[:3]), *row[3:]) for row in partitions),
        *(LiveRows(LiveHour(*row[:2]), *row[2:]) for row in hours),
        *(LiveRows(ChainFile(*row[:3]), *row[3:]) for row in chains),
    ]


def _set_exported(connection: duckdb.DuckDBPyConnection, unit: LiveUnit, number: int) -> None:
    table, key = _KEYS[type(unit)]
    query = f"UPDATE {table} SET exported_sequence = ? WHERE {key}"  # noqa: S608 (constants)
    connection.execute(query, [number, *astuple(unit)])
