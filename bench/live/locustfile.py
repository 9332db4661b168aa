"""The load: clients that post snapshots and webhooks at a constant total rate.

Locust runs it, in a virtual environment of its own: it imports nothing of the repository. It writes its
statistics, and the keys of the payloads that were answered with success, as JSON.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from random import random
from typing import Any

from gevent import sleep
from locust import FastHttpUser, constant, constant_throughput, events, task

PERCENTILES = (0.5, 0.95, 0.99)
TICKERS = ("SPX", "NDX", "ES_SPX", "NQ_NDX", "SPY", "QQQ", "RUT", "IWM")
ENDPOINTS = ("gex_zero", "gex_one", "gex_full")


class Payloads:
    """Makes payloads, each different from all others, out of templates.

    Args:
        templates: text of snapshots after their ticker, frames of option trades and of market aggregates.
    """

    def __init__(self, templates: dict[str, Any]) -> None:
        self._snapshots = itertools.cycle(text.encode() for text in templates["snapshots"])
        self._trade, self._aggregate = templates["trade"], templates["aggregate"]
        self._series = itertools.cycle(itertools.product(TICKERS, ENDPOINTS))
        self._last_ms: dict[str, int] = defaultdict(int)
        self._number = itertools.count(time.time_ns() // 1000)

    def snapshot(self) -> tuple[str, bytes]:
        """Return the key of a snapshot of this moment, and its body."""
        ticker, endpoint = next(self._series)
        now_ms = max(time.time_ns() // 1_000_000, self._last_ms[ticker] + 1)
        self._last_ms[ticker] = now_ms
        head = f'{{"timestamp":{now_ms},"ticker":"{ticker}","endpoint":"{endpoint}",'
        return f"{ticker} {endpoint} {now_ms}", head.encode() + next(self._snapshots)

    def trade(self) -> tuple[str, bytes]:
        """Return the id of an option trade, and its frame."""
        trade_id, now = str(uuid.uuid4()), datetime.now(UTC).isoformat(timespec="milliseconds")
        frame = [*self._trade[:4], {"data": {**self._trade[4]["data"], "id": trade_id, "executed_at": now}}]
        return trade_id, json.dumps(frame).encode()

    def aggregate(self) -> tuple[str, bytes]:
        """Return the number of a market aggregate, its volume of calls, and its frame."""
        number = next(self._number)
        data = {**self._aggregate[4]["data"], "call_volume": number}
        return str(number), json.dumps([*self._aggregate[:4], {"data": data}]).encode()


class LiveClient(FastHttpUser):
    """A client that waits for each answer before it posts the next payload."""

    network_timeout = connection_timeout = 10.0
    payloads: Payloads
    answered: dict[str, list[str]]
    pause_s = 0.0

    def on_start(self) -> None:
        """Spread the first requests of all clients evenly."""
        sleep(random() * self.pause_s)

    @task(7)
    def post_snapshot(self) -> None:
        """Post a snapshot."""
        self._post("/gex", "snapshots", *self.payloads.snapshot())

    @task(2)
    def post_trade(self) -> None:
        """Post an option trade."""
        self._post("/uw", "trades", *self.payloads.trade())

    @task(1)
    def post_aggregate(self) -> None:
        """Post a market aggregate."""
        self._post("/uw", "aggregates", *self.payloads.aggregate())

    def _post(self, path: str, kind: str, key: str, body: bytes) -> None:
        answer = self.client.post(path, data=body, headers={"Content-Type": "application/json"})
        if answer.status_code == 200:
            self.answered[kind].append(key)


@events.init_command_line_parser.add_listener
def _add_options(parser: Any, **_: Any) -> None:
    parser.add_argument("--total-rate", type=float, default=0, help="requests a second; 0 for no limit")
    parser.add_argument("--templates", type=Path, help="what payloads are made of")
    parser.add_argument("--results", type=Path, help="where the results go")


@events.init.add_listener
def _prepare(environment: Any, **_: Any) -> None:
    options = environment.parsed_options
    if options.templates is None:  # ``locust --list`` and the like
        return
    LiveClient.payloads = Payloads(json.loads(options.templates.read_text()))
    LiveClient.answered = defaultdict(list)
    each = options.total_rate / options.num_users
    LiveClient.wait_time = constant_throughput(each) if each else constant(0)
    LiveClient.pause_s = 1 / each if each else 0.0


@events.test_start.add_listener
def _begin(environment: Any, **_: Any) -> None:
    environment.began = time.time(), time.process_time()


@events.test_stop.add_listener
def _finish(environment: Any, **_: Any) -> None:
    began_s, cpu_began_s = environment.began
    stats = environment.stats
    results = {
        "seconds": time.time() - began_s,
        "cpu_s": time.process_time() - cpu_began_s,
        "routes": {entry.name: _figures(entry) for entry in (*stats.entries.values(), stats.total)},
        "errors": [f"{error.occurrences} x {error.to_name()}" for error in stats.errors.values()],
        "answered": LiveClient.answered,
    }
    environment.parsed_options.results.write_text(json.dumps(results))


def _figures(entry: Any) -> dict[str, Any]:
    percentiles = [entry.get_response_time_percentile(share) for share in PERCENTILES]
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "percentiles_ms": percentiles,
        "max_ms": entry.max_response_time,
    }
