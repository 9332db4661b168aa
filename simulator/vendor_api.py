"""A local fake of the vendor's API: enforces its rules and signs URLs of the files of a ``Vendor``.

    with Vendor(folder) as vendor, StandInApi(vendor, missing={date(2025, 9, 15)}) as api:
        settings = {"GEXLAKE_VENDOR_API": api.base, "GEXBOT_API_KEY": api.key, ...}

Like the real one it requires the key and some headers, answers 429 to a second request for a ticker and
category within ``interval_s``, and 404 for days without data. While it runs, the vendor rejects URLs with no
signature, or an expired one. ``python -m simulator.vendor_api --folder DIR`` runs both as a program.
"""

from __future__ import annotations

import argparse
import hmac
import json
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from shared.gexbot.partition import Partition, endpoint_of
from shared.gexbot.source_name import vendor_name
from simulator.vendor import Vendor

KEY: Final = "gexbot_custom_stand-in"
_PREFIX: Final = "/v2/hist/"
_REQUIRED: Final = ("User-Agent", "Accept", "Content-Type")
_STOP_POLL_S: Final = 0.02


@dataclass(frozen=True)
class ApiRequest:
    """A request that was received, and its answer."""

    partition: Partition | None
    """None when the path does not name one."""
    status: int
    at_s: float
    """When it was received, on the monotonic clock."""


class FakeVendorApi:
    """A threaded HTTP server beside a vendor; ``port`` 0 takes a free one.

    Args:
        vendor: serves the files, whose names are the real vendor's, plain or with ``.gz``.
        key: the key that requests must carry.
        missing: days without data, for every ticker.
        interval_s: minimum seconds between two requests for the same ticker and category.
        signed_for_s: how long a signature is valid.
        port: the port to listen on.
    """

    def __init__(
        self,
        vendor: Vendor,
        *,
        key: str = KEY,
        missing: Collection[date] = (),
        interval_s: float = 1.0,
        signed_for_s: float = 300.0,
        port: int = 0,
    ) -> None:
        self.vendor = vendor
        self.key = key
        self.missing = frozenset(missing)
        self.requests: list[ApiRequest] = []
        self.expire_next = 0
        """How many of the next signatures are already expired."""
        self._interval_s = interval_s
        self._signed_for_s = signed_for_s
        self._secret = secrets.token_bytes(16)
        self._last_at: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_S,), name="vendor-api", daemon=True
        )

    @property
    def base(self) -> str:
        """The base URL, for ``GEXLAKE_VENDOR_API``."""
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(request.status for request in tuple(self.requests))

    def start(self) -> None:
        """Accept connections, and let the vendor check signatures."""
        self.vendor.admits = self._has_signed
        self._thread.start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, partition: Partition | None, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        at_s = time.monotonic()
        with self._lock:
            status = self._status(partition, headers, at_s)
            signed: dict[str, str] = {}
            if status == HTTPStatus.OK and partition is not None:
                signed = self._sign(partition)
                status = HTTPStatus.OK if signed else HTTPStatus.NOT_FOUND
            self.requests.append(ApiRequest(partition, status, at_s))
        return status, signed or {"error": HTTPStatus(status).phrase}

    def _status(self, partition: Partition | None, headers: dict[str, str], at_s: float) -> HTTPStatus:
        if not hmac.compare_digest(headers.get("authorization", ""), f"Bearer {self.key}"):
            return HTTPStatus.UNAUTHORIZED
        if partition is None or any(not headers.get(name.lower()) for name in _REQUIRED):
            return HTTPStatus.BAD_REQUEST
        subject = (partition.ticker, partition.endpoint)
        last_at_s, self._last_at[subject] = self._last_at.get(subject), at_s
        if last_at_s is not None and at_s - last_at_s < self._interval_s:
            return HTTPStatus.TOO_MANY_REQUESTS
        return HTTPStatus.OK

    def _sign(self, partition: Partition) -> dict[str, str]:
        """Return the body with the signed URL; an empty one if there is no file."""
        names = (vendor_name(partition), vendor_name(partition, ".json.gz"))
        name = next((name for name in names if (self.vendor.folder / name).is_file()), None)
        if name is None or partition.trading_day in self.missing:
            return {}
        is_expired = self.expire_next > 0
        self.expire_next -= is_expired
        until = time.time() + (-1.0 if is_expired else self._signed_for_s)
        return {
            "url": self.vendor.url_of(name, f"se={until:.3f}&sig={self._signature(name, f'{until:.3f}')}")
        }

    def _has_signed(self, name: str, query: str) -> bool:
        fields = {key: values[0] for key, values in parse_qs(query).items()}
        until, signature = fields.get("se", "0"), fields.get("sig", "")
        return hmac.compare_digest(signature, self._signature(name, until)) and float(until) > time.time()

    def _signature(self, name: str, until: str) -> str:
        return hmac.digest(self._secret, f"{name}\n{until}".encode(), "sha256").hex()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    api: FakeVendorApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.api._answer(_partition(parts.path), headers)  # noqa: SLF001
        body = json.dumps(answer).encode()
        redirects = status == HTTPStatus.OK and "noredirect" not in parse_qs(
            parts.query, keep_blank_values=True
        )
        self.send_response(HTTPStatus.FOUND if redirects else status)
        if redirects:
            self.send_header("Location", answer["url"])
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Log nothing."""


def _partition(path: str) -> Partition | None:
    """Parse ``/v2/hist/{ticker}/{package}/{category}/{day}``; None if the path is not of that form."""
    match path.removeprefix(_PREFIX).split("/"):
        case [ticker, package, category, day] if path.startswith(_PREFIX):
            endpoint = endpoint_of(package, category)
            try:
                return Partition(unquote(ticker), endpoint, date.fromisoformat(day)) if endpoint else None
            except ValueError:
                return None
    return None


def main() -> None:
    """Serve a folder of history files, and the API in front of it, until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m simulator.vendor_api", description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--missing", type=date.fromisoformat, nargs="*", default=[], metavar="DAY")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with (
        Vendor(options.folder) as vendor,
        FakeVendorApi(vendor, missing=options.missing, port=options.port) as api,
    ):
        print(f"GEXLAKE_VENDOR_API={api.base}\nGEXBOT_API_KEY={api.key}")
        print(f"GEXLAKE_ALLOWED_SOURCES={vendor.base_url}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
