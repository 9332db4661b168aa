"""A local fake of the vendor: serves files over HTTP, injects faults, and records requests.

    with Vendor(folder) as vendor:
        vendor.inject_fault("day.json", Fault(status=503, times=1))
        url = vendor.url_of("day.json")

It listens on the loopback. ``python -m simulator.vendor --folder DIR --port N`` runs it as a program.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote, unquote, urlsplit

from simulator.faults import Fault, response_to

__all__ = ["Fault", "Request", "Requests", "Vendor"]

_CHUNK_BYTES: Final = 256 * 1024
_STOP_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Request:
    """A received request; ``path`` is without the query, header names are lower case."""

    path: str
    headers: dict[str, str]
    has_query: bool


@dataclass
class Requests:
    """The requests received so far; safe to read while the server runs."""

    seen: list[Request] = field(default_factory=list)
    peak: int = 0
    """The maximum number of concurrent requests."""
    sent_bytes: int = 0
    """Bytes of all bodies sent."""
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> int:
        """Return how often a file was requested."""
        with self._lock:
            return sum(request.path == f"/{quote(name)}" for request in self.seen)

    def _begin(self, request: Request) -> int:
        """Record a request; return its number among those of the same path, from 1."""
        with self._lock:
            self.seen.append(request)
            self._running += 1
            self.peak = max(self.peak, self._running)
            return sum(other.path == request.path for other in self.seen)

    def _sent(self, size_bytes: int) -> None:
        with self._lock:
            self.sent_bytes += size_bytes

    def _end(self) -> None:
        with self._lock:
            self._running -= 1


class Vendor:
    """A threaded HTTP server over the files of ``folder``; ``port`` 0 takes a free one."""

    admits: Callable[[str, str], bool] | None = None
    """Checks the signature, given a file's name and the query; None: every signature is valid."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.requests = Requests()
        self._faults: dict[str, Fault] = {}
        self._released = threading.Event()
        self._server = _Server((host, port), _Handler)
        self._server.vendor = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_POLL_S,), name="vendor", daemon=True
        )

    @property
    def base_url(self) -> str:
        """The base URL with a trailing slash: an entry of ``GEXLAKE_ALLOWED_SOURCES``."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def url_of(self, name: str, query: str = "sig=secret-signature") -> str:
        """Return the signed URL of a file."""
        return self.base_url + quote(name) + (f"?{query}" if query else "")

    def open(self, name: str) -> BinaryIO | None:
        """Open a file to be sent; None if there is none of that name."""
        path = self.folder / name
        return None if ".." in path.parts or not path.is_file() else path.open("rb")

    def inject_fault(self, name: str, fault: Fault) -> None:
        """Respond with a fault to requests for a file from now on."""
        self._faults[name] = fault

    def release(self) -> None:
        """Continue every response held by ``hold_after_bytes``, now and later."""
        self._released.set()

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Continue held responses and stop the server."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _fault(self, name: str, request_number: int) -> Fault:
        fault = self._faults.get(name, Fault())
        is_over = fault.times is not None and request_number > fault.times
        return Fault() if is_over else fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    vendor: Vendor

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore closed connections: fetchers close them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        vendor, parts = self.server.vendor, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = vendor.requests._begin(Request(parts.path, headers, bool(parts.query)))  # noqa: SLF001
        try:
            name = unquote(parts.path).lstrip("/")
            if vendor.admits is None or vendor.admits(name, parts.query):
                self._respond(name, headers, vendor._fault(name, number))  # noqa: SLF001
            else:
                self._send_status(HTTPStatus.FORBIDDEN, {})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            vendor.requests._end()  # noqa: SLF001

    def _respond(self, name: str, request_headers: dict[str, str], fault: Fault) -> None:
        if fault.raw_response is not None:
            self.wfile.write(fault.raw_response)
            self.close_connection = True
        elif fault.redirect_to is not None:
            self._send_status(fault.status or HTTPStatus.FOUND, {"Location": fault.redirect_to})
        elif fault.status is not None:
            self._send_status(fault.status, fault.headers)
        elif (file := self.server.vendor.open(name)) is None:
            self._send_status(HTTPStatus.NOT_FOUND, {})
        else:
            with file:
                self._send_file(file, request_headers, fault)

    def _send_status(self, status: int, headers: Mapping[str, str]) -> None:
        body = f"{status}\n".encode()
        self._send_head(status, {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _send_file(self, file: BinaryIO, request_headers: dict[str, str], fault: Fault) -> None:
        answer = response_to(os.fstat(file.fileno()), request_headers, fault)
        self._send_head(answer.status, answer.headers)
        file.seek(answer.start)
        self._send_body(file, fault)

    def _send_body(self, file: BinaryIO, fault: Fault) -> None:
        held, cut = fault.hold_after_bytes, fault.cut_after_bytes
        if held is not None:
            self._copy(file, held, fault.bytes_per_s)
            self.server.vendor._released.wait()  # noqa: SLF001
        if cut is None:
            self._copy(file, sys.maxsize, fault.bytes_per_s)
        else:
            self._copy(file, cut - (held or 0), fault.bytes_per_s)
            self.close_connection = True

    def _copy(self, file: BinaryIO, count: int, bytes_per_s: float | None) -> None:
        """Send the next ``count`` bytes, or as many as remain."""
        step = _CHUNK_BYTES if bytes_per_s is None else max(1, int(bytes_per_s / 20))
        sent, started = 0, time.monotonic()
        while chunk := file.read(max(0, min(step, count - sent))):
            self.wfile.write(chunk)
            self.server.vendor.requests._sent(len(chunk))  # noqa: SLF001
            sent += len(chunk)
            if bytes_per_s is not None:
                time.sleep(max(0.0, started + sent / bytes_per_s - time.monotonic()))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Log nothing: the request line contains the signed query."""


def main() -> None:
    """Serve a folder until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m simulator.vendor", description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    serve_until_stopped(Vendor(options.folder, options.host, options.port))


def serve_until_stopped(served: Vendor) -> None:
    """Serve until SIGTERM or Ctrl-C; the base URL is printed first."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with served as vendor:
        print(f"serving {vendor.folder} on {vendor.base_url}")
        print(f"GEXLAKE_ALLOWED_SOURCES={vendor.base_url}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
