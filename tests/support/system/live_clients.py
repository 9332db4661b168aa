"""Clients that post live payloads, each until it is answered with success, while processes come and go."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx

TICKERS: Final = ("SPX", "NDX", "ES_SPX", "NQ_NDX")
STRIKES: Final = 20
_CLIENTS: Final = 8
_RETRY_S: Final = 0.1
_TIMEOUT_S: Final = 3.0
_TRY_AGAIN: Final = frozenset({httpx.codes.SERVICE_UNAVAILABLE})
_KINDS: Final = 4

Json = dict[str, Any]


@dataclass
class LiveClients:
    """Eight clients and what they have posted: of four payloads, one option trade and one option chain.

    Args:
        http: bound to intake's URL.
        rate: payloads a second of all together.
    """

    http: httpx.AsyncClient
    rate: float
    snapshots: list[Json] = field(default_factory=list)
    """Those that were answered with success."""
    trades: list[str] = field(default_factory=list)
    """The ids of those that were answered with success."""
    chains: list[Json] = field(default_factory=list)
    """Those that were answered with success."""
    retries: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _began_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    async def post_until(self, stopped: asyncio.Event) -> None:
        """Post until ``stopped`` is set and what was begun is answered."""
        await asyncio.gather(*(self._client(stopped) for _ in range(_CLIENTS)))

    async def _client(self, stopped: asyncio.Event) -> None:
        pause_s = _CLIENTS / self.rate
        while not stopped.is_set():
            began_s = time.monotonic()
            number = next(self._numbers)
            await self._post_number(number)
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began_s)))

    async def _post_number(self, number: int) -> None:
        match number % _KINDS:
            case 0:
                await self._post("/uw", _frame(number))
                self.trades.append(_trade_id(number))
            case 1:
                chain = self._chain(number)
                await self._post("/api/v1/snapshots", chain)
                self.chains.append(chain)
            case _:
                snapshot = self._snapshot(number)
                await self._post("/gex", snapshot)
                self.snapshots.append(snapshot)

    async def _post(self, path: str, body: Any) -> None:
        content = json.dumps(body)  # a retry has the same bytes
        while True:
            try:
                answer = await self.http.post(
                    path,
                    content=content,
                    headers={"Content-Type": "application/json"},
                    timeout=_TIMEOUT_S,
                )
            except httpx.TransportError:
                pass
            else:
                if answer.is_success:
                    return
                assert answer.status_code in _TRY_AGAIN, f"{path}: {answer.status_code} {answer.text}"
            self.retries += 1
            await asyncio.sleep(_RETRY_S)

    def _snapshot(self, number: int) -> Json:
        return {
            "timestamp": self._began_ms + number,
            "ticker": TICKERS[number % len(TICKERS)],
            "spot": 6800 + number / 4,
            "zero_gamma": 6790.5,
            "strikes": [
                [6700 + 5 * place, number + place, place, [1, 2, 3, 4, 5]] for place in range(STRIKES)
            ],
        }

    def _chain(self, number: int) -> Json:
        moment = datetime.fromtimestamp((self._began_ms + number) / 1000, UTC)
        return {
            "market_symbol": TICKERS[number % len(TICKERS)],
            "snapshot_date": f"{moment:%Y-%m-%d}",
            "snapshot_time": f"{moment:%H:%M:%S.%f}Z",
            "strikes": [
                {"strike_price": 6700 + place, "call_open_interest": number, "put_open_interest": 0}
                for place in range(STRIKES)
            ],
        }


def _trade_id(number: int) -> str:
    return f"trade-{number}"


def _frame(number: int) -> list[Any]:
    trade = {
        "id": _trade_id(number),
        "option_chain_id": "ARM260116C00118000",
        "price": "2.80",
        "size": number,
    }
    return [None, None, "option_trades_super_algo", "new_msg", {"data": trade}]
