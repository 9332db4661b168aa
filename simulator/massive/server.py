"""The HTTP server of the fake: REST and flat files on one port, with injected faults.

with FakeMassive(Market({"AAPL": 1.0})) as massive:
    massive.answer_next(Answer(429, {"status": "ERROR", "error": "You've exceeded the maximum …"}))
    settings = {"GEXLAKE_MASSIVE_API": massive.base, "MASSIVE_API_KEY": massive.key, …}
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from shared.massive.flat_files import BUCKET
from simulator.massive.flat_files import FlatFiles
from simulator.massive.market import Market
from simulator.massive.rest import Answer, Rest, error

KEY: Final = "stand-in-massive-key"
_STOP_POLL_S: Final = 0.02
_MINUTE_S: Final = 60.0


class ReceivedRequest(NamedTuple):
    """A request that was received, and the status of its answer."""

    path: str
    query: str
    status: int
    at_s: float
    """When it was received, on the monotonic clock."""


class FakeMassive:
    """A threaded HTTP server; ``port`` 0 takes a free one.

    Args:
        market: has the bars.
        key: the API key that requests must carry, as ``Bearer`` or ``apiKey``.
        now: returns the present moment, UTC epoch milliseconds.
        calls_per_minute: a request to REST over that is answered with 429; None for no limit.
        port: the port to listen on.
    """

    def __init__(
        self,
        market: Market,
        *,
        key: str = KEY,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        calls_per_minute: int | None = None,
        port: int = 0,
    ) -> None:
        self.key = key
        self.rest = Rest(market, now)
        self.flat_files = FlatFiles(self.rest)
        self.requests: list[ReceivedRequest] = []
        self._calls_per_minute = calls_per_minute
        self._calls: deque[float] = deque()
        self._planned: deque[Answer] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.massive = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_S,), name="massive", daemon=True
        )

    @property
    def base(self) -> str:
        """The base URL of REST, and of the flat files."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(request.status for request in tuple(self.requests))

    def answer_next(self, answer: Answer, times: int = 1) -> None:
        """Answer the next requests with the same, whatever they ask for."""
        self._planned.extend([answer] * times)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, target: str, headers: dict[str, str]) -> Answer:
        parts, at_s = urlsplit(target), time.monotonic()
        with self._lock:
            answer = self._planned.popleft() if self._planned else self._answer_to(parts, headers, at_s)
            self.requests.append(ReceivedRequest(parts.path, parts.query, answer.status, at_s))
        return answer

    def _answer_to(self, parts: Any, headers: dict[str, str], at_s: float) -> Answer:
        if parts.path.startswith(f"/{BUCKET}/"):
            return self.flat_files.answer(parts.path, parts.query, headers)
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if self.key not in {key, parse_qs(parts.query).get("apiKey", [""])[0]}:
            return error(HTTPStatus.UNAUTHORIZED, "ERROR", "Unknown API Key")
        if self._is_over_limit(at_s):
            return error(
                HTTPStatus.TOO_MANY_REQUESTS,
                "ERROR",
                "You've exceeded the maximum requests per minute, please wait or upgrade your subscription.",
            )
        return self.rest.answer(parts.path, parts.query)

    def _is_over_limit(self, at_s: float) -> bool:
        if self._calls_per_minute is None:
            return False
        while self._calls and self._calls[0] <= at_s - _MINUTE_S:
            self._calls.popleft()
        if len(self._calls) >= self._calls_per_minute:
            return True
        self._calls.append(at_s)
        return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    massive: FakeMassive


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def _respond(self, *, with_body: bool) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.massive._answer(self.path, headers)  # noqa: SLF001
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body[: answer.cut_after_bytes])
        if answer.cut_after_bytes is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Log nothing."""
