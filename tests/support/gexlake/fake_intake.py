"""A stand-in of intake over real HTTP, for the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeIntake:
    """Answers every request with ``status`` and ``body``, and remembers what was asked."""

    url: str
    status: int = 200
    body: Any = None
    bodies: dict[str, list[Any]] = field(default_factory=dict)
    """By path, without its query: what is answered instead, one after another, the last again and again."""
    statuses: dict[str, int] = field(default_factory=dict)
    """By path, without its query: the status of the answer instead."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    authorization: str | None = None
    accept: str | None = None
    content_type: str = "application/json"
    last_event_ids: list[str | None] = field(default_factory=list)
    missing_bytes: int = 0
    """How many bytes are announced and not sent."""

    def body_for(self, path: str) -> bytes:
        """Return what a request for a path is answered with."""
        bodies = self.bodies.get(path.partition("?")[0], [self.body])
        body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@contextmanager
def fake_intake() -> Iterator[FakeIntake]:
    """Run a stand-in on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            fake.asked.append((self.command, self.path, json.loads(self.rfile.read(size) or "null")))
            fake.authorization = self.headers.get("Authorization")
            fake.accept = self.headers.get("Accept")
            fake.last_event_ids.append(self.headers.get("Last-Event-ID"))
            body = fake.body_for(self.path)
            self.send_response(fake.statuses.get(self.path.partition("?")[0], fake.status))
            self.send_header("Content-Type", fake.content_type)
            self.send_header("Content-Length", str(len(body) + fake.missing_bytes))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (the base class names it)
        do_PATCH = do_GET  # noqa: N815
        do_PUT = do_GET  # noqa: N815
        do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeIntake(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
