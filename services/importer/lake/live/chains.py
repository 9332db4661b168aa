"""The table ``live_chains``, and the rows of option chains that share a Parquet file."""

from __future__ import annotations

from dataclasses import astuple
from typing import Final

import duckdb

from services.importer.lake.live.stored_batch import ChainFile
from services.importer.lake.statements import quoted
from shared.gexbot.trading_day import bounds_ms

KEY: Final = "market_symbol = ? AND snapshot_date = ? AND timestamp IS NOT DISTINCT FROM ?"


def chains_query(chains: ChainFile) -> str:
    """Return the query of the rows of a Parquet file of chains; ids are texts, for readers of any kind."""
    as_text = "REPLACE (CAST(snapshot_id AS VARCHAR) AS snapshot_id)"
    order = "timestamp, snapshot_id, strike_number"
    return f"SELECT * {as_text} FROM option_chains WHERE {where(chains)} ORDER BY {order}"  # noqa: S608 (ours)


def where(chains: ChainFile) -> str:
    """Return the condition for the rows of a Parquet file of chains, in either of the tables."""
    start, end = bounds_ms(chains.day)
    if chains.timestamp is not None:
        start, end = chains.timestamp, chains.timestamp + 1
    return f"timestamp >= {start} AND timestamp < {end} AND market_symbol = {quoted(chains.symbol)}"


def count_again(connection: duckdb.DuckDBPyConnection, chains: ChainFile, last: int, exported: int) -> None:
    """Count the rows that a Parquet file of chains should have; call it within a transaction.

    Args:
        connection: the connection.
        chains: those whose rows have changed.
        last: the number of the batch that changed them; a higher number that is known stays.
        exported: that of the last batch that the file holds, if none is known.
    """
    key = list(astuple(chains))
    found = connection.execute(
        f"DELETE FROM live_chains WHERE {KEY} RETURNING last_sequence, exported_sequence",  # noqa: S608
        key,
    ).fetchone()
    known_last, known_exported = found or (last, exported)
    connection.execute(
        "INSERT INTO live_chains SELECT ?, ?, ?, count(*), coalesce(sum(strikes), 0), ?, ? "  # noqa: S608
        f"FROM chain_snapshots WHERE {where(chains)}",
        [*key, max(last, known_last), known_exported],
    )
