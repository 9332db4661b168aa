"""A local stand-in of the vendor's API: keeps its rules, and signs URLs of the files of a ``Vendor``.

    with Vendor(folder) as vendor, StandInApi(vendor, missing={date(2025, 9, 15)}) as api:
        settings = {"GEXLAKE_VENDOR_API": api.base, "GEXBOT_API_KEY": api.key, ...}

It asks for the key and the headers that the real one asks for, answers 429 to whoever asks for one ticker and
category twice within ``interval_s``, and 404 for days that it lacks. From then on, the vendor rejects what it
has not signed, or too long ago. ``python -m simulator.vendor_api --folder DIR`` runs both as a program.
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
class Asked:
    """A question that came in, and what it was answered with."""

    partition: Partition | None
    """None when the path names none."""
    status: int
    at_s: float
    """When it came in, on a clock that only runs forward."""


class StandInApi:
    """A threaded HTTP server beside a vendor; ``port`` 0 takes a free one.

    Args:
        vendor: serves the files, whose names are the real vendor's, plain or with ``.gz``.
        key: what has to be shown.
        missing: days without data, whatever the ticker.
        interval_s: how long after a question the next one about the same ticker and category may come.
        signed_for_s: how long a signature is good.
        port: where to listen.
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
        self.asked: list[Asked] = []
        self.expire_next = 0
        """So many of the next signatures are past their time when they are given out."""
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
        """Its address, for ``GEXLAKE_VENDOR_API``."""
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    @property
    def statuses(self) -> Counter[int]:
        """How often it has answered what."""
        return Counter(asked.status for asked in tuple(self.asked))

    def start(self) -> None:
        """Accept connections, and have the vendor check signatures."""
        self.vendor.admits = self._has_signed
        self._thread.start()

    def stop(self) -> None:
        """Close."""
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
            self.asked.append(Asked(partition, status, at_s))
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
        """Return the answer that holds the signed URL; an empty one if there is no file."""
        names = (vendor_name(partition), vendor_name(partition, ".json.gz"))
        name = next((name for name in names if (self.vendor.folder / name).is_file()), None)
        if name is None or partition.trading_day in self.missing:
            return {}
        is_late = self.expire_next > 0
        self.expire_next -= is_late
        until = time.time() + (-1.0 if is_late else self._signed_for_s)
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
    api: StandInApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.api._answer(_partition(parts.path), headers)  # noqa: SLF001
        body = json.dumps(answer).encode()
        leads_there = status == HTTPStatus.OK and "noredirect" not in parse_qs(
            parts.query, keep_blank_values=True
        )
        self.send_response(HTTPStatus.FOUND if leads_there else status)
        if leads_there:
            self.send_header("Location", answer["url"])
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Keep quiet."""


def _partition(path: str) -> Partition | None:
    """Read ``/v2/hist/{ticker}/{package}/{category}/{day}``."""
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
        StandInApi(vendor, missing=options.missing, port=options.port) as api,
    ):
        print(f"GEXLAKE_VENDOR_API={api.base}\nGEXBOT_API_KEY={api.key}")
        print(f"GEXLAKE_ALLOWED_SOURCES={vendor.base_url}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
