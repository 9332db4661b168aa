"""Checks that a lake, queried over NATS, holds exactly the rows of the files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gexlake.api import services
from gexlake.api.lake import SqlRequest
from gexlake.api.rpc import Refused, call
from gexlake.api.services import VerifyRequest
from shared.bus.connection import Bus
from shared.gexbot.trading_day import bounds_ms
from simulator.generator import Day

Record = dict[str, Any]

_TIMEOUT_S: Final = 15.0
_STRIKES: Final = "timestamp, strike, gamma, oi_gamma, priors"
_SNAPSHOTS: Final = (
    "timestamp, spot_price, zero_gamma, min_dte, sec_min_dte, major_pos_vol, major_pos_oi, major_neg_vol, "
    "major_neg_oi, sum_gex_vol, sum_gex_oi, delta_risk_reversal, max_priors"
)
_FIELDS: Final = ("timestamp", "spot", *_SNAPSHOTS.split(", ")[2:])


async def query_lake(bus: Bus, query: str) -> list[list[Any]]:
    """Return the rows of a query.

    Raises:
        AssertionError: the query was refused, or has too many rows.
    """
    request = SqlRequest(query=query, max_rows=10_000, timeout_s=_TIMEOUT_S)
    try:
        response = await call(bus.client, services.SQL, request, _TIMEOUT_S)
    except Refused as error:
        raise AssertionError(f"{query}: {error}") from error
    assert not response.truncated, f"{query}: too many rows to compare"
    return [list(row) for row in response.rows]


async def assert_holds_exactly(bus: Bus, day: Day) -> None:
    """Check that a partition has exactly the rows of a generated day, in the table and in Parquet."""
    await assert_holds_records(bus, day, list(day.records()))


async def assert_holds_records(bus: Bus, day: Day, records: Sequence[Record]) -> None:
    """Check that the partition of a day has exactly the rows of ``records``, in the table and in Parquet."""
    of_day = _where(day)
    snapshots = await query_lake(bus, f"SELECT {_SNAPSHOTS} FROM gex_snapshots {of_day} ORDER BY timestamp")
    assert [_parsed(row) for row in snapshots] == _snapshots_of(records), day.file_name
    strikes = await query_lake(bus, f"SELECT {_STRIKES} FROM gex_strikes {of_day} ORDER BY timestamp, strike")
    assert [_parsed(row) for row in strikes] == _strikes_of(records), day.file_name
    await assert_parquet_equals_table(bus, day, partitions=1 if records else 0)


async def assert_parquet_equals_table(bus: Bus, day: Day | None = None, partitions: int = 1) -> None:
    """Check that every row of a partition, or of all, is in the database and in its files, once.

    With a day, there must be so many partitions of it. Queries read the files, so the importer compares the
    database with them.
    """
    request = VerifyRequest()
    if day is not None:
        request = VerifyRequest(ticker=day.ticker, endpoint=day.endpoint, trading_day=day.day)
    found = await call(bus.client, services.VERIFY, request, _TIMEOUT_S)
    assert found.differences == ()
    assert day is None or found.checked == partitions


def _where(day: Day) -> str:
    start, end = bounds_ms(day.day)
    return (
        f"WHERE ticker = '{day.ticker}' AND endpoint = '{day.endpoint}' "
        f"AND timestamp >= {start} AND timestamp < {end}"
    )


def _parsed(row: list[Any]) -> list[Any]:
    """Return a row whose last column is parsed from JSON."""
    return [*row[:-1], json.loads(row[-1])]


def _snapshots_of(records: Iterable[Record]) -> list[list[Any]]:
    return [[1000 * record["timestamp"], *(record[name] for name in _FIELDS[1:])] for record in records]


def _strikes_of(records: Iterable[Record]) -> list[list[Any]]:
    return [
        [1000 * record["timestamp"], *strike] for record in records for strike in sorted(record["strikes"])
    ]
