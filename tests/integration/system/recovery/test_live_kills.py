"""Live payloads while intake, importer and broker are killed in turn: each success is stored once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from simulator.stack import NATS
from tests.support.poll import eventually
from tests.support.system.chaos import Chaos
from tests.support.system.live_clients import STRIKES, LiveClients
from tests.support.system.oracle import assert_parquet_equals_table, query_lake
from tests.support.system.running import WITHIN_S, System, connection_to, running_system

VICTIMS: Final = ("intake", "importer", NATS)
ROUNDS: Final = 4
BETWEEN_KILLS_S: Final = 2.5
DOWN_S: Final = 0.3
RATE: Final = 100.0
SETTINGS: Final = {
    "GEXLAKE_RATE_LIMIT_GEX": "100000/minute",
    "GEXLAKE_RATE_LIMIT_WEBHOOK": "100000/minute",
    "GEXLAKE_LIVE_EXPORT_S": "3",
}
SNAPSHOTS: Final = "SELECT ticker, timestamp, spot_price, source FROM gex_snapshots ORDER BY timestamp"
STRIKE_ROWS: Final = """
SELECT ticker, timestamp, count(*), count(DISTINCT strike), min(gamma), max(gamma) FROM gex_strikes
GROUP BY ALL ORDER BY timestamp"""
WEBHOOKS: Final = "SELECT payload_json ->> '$.id' FROM universal_webhooks ORDER BY ALL"
TRADES: Final = "SELECT trade_id FROM option_trades_events ORDER BY ALL"

CHAINS: Final = """
SELECT snapshot.market_symbol, total_open_interest, snapshot.strikes, count(*), count(DISTINCT strike_price)
FROM chain_snapshots AS snapshot JOIN chain_strikes USING (snapshot_id)
GROUP BY ALL ORDER BY total_open_interest"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path, SETTINGS) as system:
        yield system


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_payloads_answered_while_services_and_broker_are_killed_are_stored_once(system: System) -> None:
    chaos, stopped = Chaos(system.stack, {}), asyncio.Event()
    supervising = asyncio.create_task(chaos.supervise())
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False) as http:
        clients = LiveClients(http, RATE)
        posting = asyncio.create_task(clients.post_until(stopped))
        for victim in VICTIMS * ROUNDS:
            await asyncio.wait({posting}, timeout=BETWEEN_KILLS_S)
            assert not posting.done(), posting.exception()
            await asyncio.to_thread(system.stack.kill, victim)
            await asyncio.sleep(DOWN_S)
            await asyncio.to_thread(system.stack.start_service, victim)
        stopped.set()
        await posting
    supervising.cancel()
    await asyncio.to_thread(system.stack.wait_ready)
    assert clients.retries > 0
    await assert_stored_once(system, clients)


async def assert_stored_once(system: System, clients: LiveClients) -> None:
    """Check that the lake holds each payload once, with its values, and that files and tables are equal."""
    posted = sorted(clients.snapshots, key=lambda snapshot: snapshot["timestamp"])
    trades = [[trade] for trade in sorted(clients.trades)]
    chains = [chain_row(each) for each in sorted(clients.chains, key=open_interest)]
    async with connection_to(system.stack) as bus:

        async def has_all() -> bool:
            counts = [len(await query_lake(bus, query)) for query in (SNAPSHOTS, TRADES, CHAINS)]
            return counts >= [len(posted), len(trades), len(chains)]

        await eventually(has_all, within_s=WITHIN_S, what=lambda: f"the last rows\n{system.stack.tails()}")
        assert await query_lake(bus, SNAPSHOTS) == [snapshot_row(each) for each in posted]
        assert await query_lake(bus, STRIKE_ROWS) == [strikes_row(each) for each in posted]
        assert await query_lake(bus, WEBHOOKS) == trades
        assert await query_lake(bus, TRADES) == trades
        assert await query_lake(bus, CHAINS) == chains
        await assert_parquet_equals_table(bus)


def snapshot_row(snapshot: dict[str, Any]) -> list[Any]:
    """Return the columns of a snapshot's row."""
    return [snapshot["ticker"], snapshot["timestamp"], snapshot["spot"], "live"]


def strikes_row(snapshot: dict[str, Any]) -> list[Any]:
    """Return what the rows of a snapshot's strikes come to."""
    gammas = [float(gamma) for _, gamma, *_ in snapshot["strikes"]]
    return [snapshot["ticker"], snapshot["timestamp"], STRIKES, STRIKES, min(gammas), max(gammas)]


def open_interest(chain: dict[str, Any]) -> int:
    """Return the open interest of all strikes of a chain."""
    return sum(strike["call_open_interest"] for strike in chain["strikes"])


def chain_row(chain: dict[str, Any]) -> list[Any]:
    """Return what the rows of an option chain come to."""
    return [chain["market_symbol"], open_interest(chain), STRIKES, STRIKES, STRIKES]
