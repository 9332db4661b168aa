"""Compare the lake with what was requested."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Final

from bench.measure.processes import BenchFailed
from bench.sla.answers import Intake
from gexlake.api import services
from gexlake.api.rpc import CallFailed, call
from gexlake.api.services import VerifyRequest
from shared.bus.connection import Bus
from shared.process.settings import Settings

_VERIFY_FOR_S: Final = 60.0
_VERIFY_WITHIN_S: Final = 900.0
_PARTITIONS: Final = """
SELECT count(*), coalesce(sum(snapshots), 0) FROM (
    SELECT count(*) AS snapshots FROM gex_snapshots GROUP BY ticker, endpoint, timestamp // 86400000)"""
_STRIKES: Final = "SELECT (SELECT count(*) FROM gex_strikes), (SELECT count(*) FROM parquet_gex_strikes)"


@dataclass(frozen=True)
class LakeFindings:
    """What the lake has.

    Args:
        partitions: how many days of a ticker and endpoint have snapshots.
        snapshots: how many in all.
        strikes: how many in the tables.
        parquet_strikes: how many in Parquet files.
        compared: how many partitions were compared with their Parquet files, row by row.
        differences: how many of them differ.
    """

    partitions: int
    snapshots: int
    strikes: int
    parquet_strikes: int
    compared: int
    differences: int


async def read_lake(intake: Intake, nats_url: str, days: Collection[date]) -> LakeFindings:
    """Count the rows, and have the importer compare tables and Parquet files day by day, for a minute.

    Raises:
        BenchFailed: the importer does not answer.
    """
    ((partitions, snapshots),) = await intake.query(_PARTITIONS)
    ((strikes, parquet_strikes),) = await intake.query(_STRIKES)
    compared, differences = await _verify(nats_url, days)
    return LakeFindings(
        int(partitions), int(snapshots), int(strikes), int(parquet_strikes), compared, differences
    )


async def _verify(nats_url: str, days: Collection[date]) -> tuple[int, int]:
    """Return how many partitions were compared, and how many differ."""
    order, compared, differences = sorted(days), 0, 0
    Random(1).shuffle(order)
    began_s = time.monotonic()
    bus = await Bus.connect(Settings(nats_url=nats_url), "bench")
    try:
        for day in order:
            verified = await call(
                bus.client, services.VERIFY, VerifyRequest(trading_day=day), _VERIFY_WITHIN_S
            )
            compared += verified.checked
            differences += len(verified.differences)
            if time.monotonic() - began_s > _VERIFY_FOR_S:
                break
    except CallFailed as error:
        raise BenchFailed(str(error)) from error
    finally:
        await bus.close()
    return compared, differences
