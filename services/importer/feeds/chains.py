"""Write the option chains of a batch: a snapshot that is stored with other content is replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from services.importer.feeds.columns import registered
from services.importer.lake.live import chains as live_chains
from services.importer.lake.live.stored_batch import ChainFile
from services.importer.lake.live.tables import CHAIN_SNAPSHOTS, CHAIN_STRIKES, CHAINS
from shared.bus.feeds.chain_messages import Chain, ChainStrike, LiveChain
from shared.gexbot.trading_day import trading_day_of

_KEY_TYPES: Final = {
    **dict.fromkeys(("snapshot_id", "market_symbol"), "VARCHAR"),
    "snapshot_date": "DATE",
    "timestamp": "BIGINT",
}
SNAPSHOT_TYPES: Final = {
    **_KEY_TYPES,
    "job_id": "VARCHAR",
    "strikes": "INTEGER",
    **dict.fromkeys(("total_open_interest", "total_volume"), "BIGINT"),
    "processed_at": "TIMESTAMP WITH TIME ZONE",
    "data_quality_score": "DOUBLE",
    "content_digest": "VARCHAR",
}
_COUNTS: Final = ("call_open_interest", "put_open_interest", "call_volume", "put_volume")
STRIKE_TYPES: Final = {
    **_KEY_TYPES,
    "strike_number": "INTEGER",
    **{name: "BIGINT" if name in _COUNTS else "DOUBLE" for name in ChainStrike.__struct_fields__},
}
_AS_UUID: Final = "CAST(snapshot_id AS UUID) AS snapshot_id"
_DAY_TYPES: Final = {"market_symbol": "VARCHAR", "snapshot_date": "DATE"}
_EXTRA: Final = {
    CHAIN_SNAPSHOTS: ", CAST(new_york_time(timestamp) AS TIME) AS snapshot_time",
    CHAIN_STRIKES: "",
}


@dataclass(frozen=True)
class WrittenChains:
    """The option chains of a batch that were not there.

    Args:
        files: the Parquet files whose rows have changed.
        tables: the temporary table of each table's rows.
    """

    files: frozenset[ChainFile] = frozenset()
    tables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Held:
    """A snapshot that the lake has with other content."""

    snapshot_id: str
    symbol: str
    day: date
    timestamp: int


def write_chains(
    connection: duckdb.DuckDBPyConnection,
    chains: Iterable[LiveChain],
    number: int,
    *,
    a_file_each: bool,
) -> WrittenChains:
    """Write the option chains of a batch that the lake does not have with the same content.

    Args:
        connection: in a transaction.
        chains: in the order of the stream.
        number: of the batch.
        a_file_each: whether a day that has no file yet gets a Parquet file for each snapshot.
    """
    newest: dict[str, LiveChain] = {}
    for chain in chains:
        key = str(chain.payload.snapshot_id)
        if key not in newest or newest[key].id != chain.id:
            newest[key] = chain
    replaced = _replaced(connection, newest)
    if not newest:
        return WrittenChains()
    _delete(connection, replaced)
    _insert(connection, list(newest.values()), number)
    moments = {(held.symbol, held.day, held.timestamp) for held in replaced}
    moments |= {_moment(chain.payload) for chain in newest.values()}
    files = _files_of(connection, moments, a_file_each=a_file_each)
    for file in files:
        live_chains.count_again(connection, file, number, exported=0)
    return WrittenChains(files, tuple((table, f"batch_{table}") for table in CHAINS))


def _moment(chain: Chain) -> tuple[str, date, int]:
    return chain.market_symbol, trading_day_of(chain.timestamp), chain.timestamp


def _replaced(connection: duckdb.DuckDBPyConnection, newest: dict[str, LiveChain]) -> list[_Held]:
    """Drop the snapshots that the lake has with the same content, and return those with other content."""
    with registered(connection, "arrived", {"snapshot_id": "VARCHAR"}, [list(newest)]):
        # Of all rows only the id is read, which takes a third of the time of a plain join.
        held = connection.execute(
            "SELECT content_digest, snapshot_id, market_symbol, snapshot_date, timestamp "  # noqa: S608
            "FROM chain_snapshots WHERE rowid IN (SELECT rowid FROM chain_snapshots "
            f"SEMI JOIN (SELECT {_AS_UUID} FROM arrived) USING (snapshot_id))"
        ).fetchall()
    replaced = []
    for digest, found, *place in held:
        snapshot_id = str(found)
        if newest[snapshot_id].id == digest:
            del newest[snapshot_id]
        else:
            replaced.append(_Held(snapshot_id, *place))
    return replaced


def _delete(connection: duckdb.DuckDBPyConnection, replaced: Sequence[_Held]) -> None:
    if not replaced:
        return
    times = [held.timestamp for held in replaced]
    ids = [held.snapshot_id for held in replaced]
    with registered(connection, "replaced", {"snapshot_id": "VARCHAR"}, [ids]):
        for table in CHAINS:
            connection.execute(
                f"DELETE FROM {table} USING replaced WHERE {table}.timestamp BETWEEN ? AND ? "  # noqa: S608
                f"AND {table}.snapshot_id = CAST(replaced.snapshot_id AS UUID)",
                [min(times), max(times)],
            )


def _insert(connection: duckdb.DuckDBPyConnection, chains: Sequence[LiveChain], number: int) -> None:
    """Insert rows into both tables, and into the temporary ones."""
    rows = {
        CHAIN_SNAPSHOTS: (SNAPSHOT_TYPES, [_snapshot_row(chain) for chain in chains]),
        CHAIN_STRIKES: (STRIKE_TYPES, [row for chain in chains for row in _strike_rows(chain.payload)]),
    }
    for table, (types, of_table) in rows.items():
        with registered(connection, "arrived", types, list(zip(*of_table, strict=True))):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE batch_{table} AS "  # noqa: S608 (constants)
                f"SELECT * REPLACE ({_AS_UUID}){_EXTRA[table]}, "
                f"CAST({number} AS BIGINT) AS sequence FROM arrived"
            )
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE sequence FROM batch_{table}")  # noqa: S608


def _key(chain: Chain) -> tuple[Any, ...]:
    return str(chain.snapshot_id), *_moment(chain)


def _snapshot_row(message: LiveChain) -> tuple[Any, ...]:
    chain = message.payload
    return (
        *_key(chain),
        None if chain.job_id is None else str(chain.job_id),
        len(chain.strikes),
        chain.total_open_interest,
        chain.total_volume,
        message.occurred_at,
        chain.data_quality_score,
        message.id,
    )


def _strike_rows(chain: Chain) -> Iterable[tuple[Any, ...]]:
    key = _key(chain)
    names = ChainStrike.__struct_fields__
    for number, strike in enumerate(chain.strikes, 1):
        yield (*key, number, *(getattr(strike, name) for name in names))


def _files_of(
    connection: duckdb.DuckDBPyConnection, moments: Iterable[tuple[str, date, int]], *, a_file_each: bool
) -> frozenset[ChainFile]:
    """Return the files that snapshots belong to; a day that has files goes on in their form."""
    of_moments = set(moments)
    days = {(symbol, day) for symbol, day, _ in of_moments}
    with registered(connection, "days", _DAY_TYPES, list(zip(*days, strict=True))):
        found = connection.execute(
            "SELECT market_symbol, snapshot_date, bool_and(timestamp IS NOT NULL) FROM live_chains "
            "SEMI JOIN days USING (market_symbol, snapshot_date) GROUP BY ALL"
        ).fetchall()
    has_each = {(symbol, day): each for symbol, day, each in found}
    return frozenset(
        ChainFile(symbol, day, timestamp if has_each.get((symbol, day), a_file_each) else None)
        for symbol, day, timestamp in of_moments
    )
