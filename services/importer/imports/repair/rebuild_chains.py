"""Load option chains from their Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import duckdb

from services.importer.imports.repair.rebuild_files import load_each
from services.importer.lake.database import Lake
from services.importer.lake.live import chains as live_chains
from services.importer.lake.live import units as live_units
from services.importer.lake.live.chains import where
from services.importer.lake.live.stored_batch import ChainFile
from services.importer.lake.live.tables import CHAIN_SNAPSHOTS, CHAINS
from services.importer.lake.statements import quoted

_LOADED: Final = "loaded_chains"


def load_chains(lake: Lake, files: Sequence[ChainFile]) -> None:
    """Load files; of a snapshot that the tables have with other content, that which arrived later stays.

    Raises:
        StorageTrouble: the disk is full or fails.
    """
    load_each(lake, files, partial(live_units.parquet_of, lake.paths), _load, "chains")


def _load(connection: duckdb.DuckDBPyConnection, lake: Lake, chains: ChainFile) -> None:
    file = quoted(str(live_units.parquet_of(lake.paths, chains)))
    had = connection.execute(f"SELECT 1 FROM chain_snapshots WHERE {where(chains)} LIMIT 1").fetchone()  # noqa: S608
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_LOADED} AS
        SELECT file.* FROM (
            SELECT * REPLACE (CAST(snapshot_id AS UUID) AS snapshot_id)
            FROM read_parquet({file}, hive_partitioning = false)
        ) AS file
        LEFT JOIN chain_snapshots AS held USING (snapshot_id)
        WHERE coalesce(file.processed_at > held.processed_at, true);
        """  # noqa: S608 (quoted)
    )
    in_file, loaded = _count(connection, f"read_parquet({file})"), _count(connection, _LOADED)
    others = _others_with(connection, chains)
    for table in CHAINS:
        columns = ", ".join(row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall())
        rows = f"SELECT {columns} FROM {_LOADED}"  # noqa: S608 (names of ours)
        if table == CHAIN_SNAPSHOTS:
            rows += " WHERE strike_number = 1"
        connection.execute(
            f"DELETE FROM {table} WHERE snapshot_id IN (SELECT snapshot_id FROM {_LOADED})"  # noqa: S608
        )
        connection.execute(f"INSERT INTO {table} BY NAME {rows}")
    connection.execute(f"DROP TABLE {_LOADED}")
    for each in (chains, *others):
        live_chains.count_again(connection, each, 0, exported=0)
    # Of a snapshot that was left out, the file has rows that the table has elsewhere.
    live_units.mark_dirty(connection, [chains, *others] if had or loaded < in_file else others)
    live_units.note_file(connection, lake.paths, chains)


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {source}").fetchall()  # noqa: S608 (quoted)
    return int(count)


def _others_with(connection: duckdb.DuckDBPyConnection, chains: ChainFile) -> list[ChainFile]:
    """Return the other files with snapshots that were sent again for another symbol or time."""
    found = connection.execute(
        f"""
        SELECT DISTINCT file.market_symbol, file.snapshot_date, file.timestamp
        FROM live_chains AS file JOIN chain_snapshots AS held
            ON held.market_symbol = file.market_symbol AND held.snapshot_date = file.snapshot_date
            AND coalesce(file.timestamp = held.timestamp, true)
        WHERE held.snapshot_id IN (SELECT snapshot_id FROM {_LOADED})
        """  # noqa: S608 (a name of ours)
    ).fetchall()
    return [other for row in found if (other := ChainFile(*row)) != chains]
