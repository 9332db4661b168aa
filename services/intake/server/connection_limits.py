"""Limits on connections that uvicorn has no settings for: how many there are, and how long one may be silent.

uvicorn's ``limit_concurrency`` counts a connection only when it has sent a request, and its keep-alive
timeout runs only between requests: a client that sends a byte from time to time would keep its connection.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, ClassVar, Final

import h11
import structlog
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from services.intake.errors import NotReady, Refused, TooSlow
from services.intake.http.error_responses import refusal
from services.intake.live.reader_connection import ABORT

_LOG_EVERY_S: Final = 60.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """What the clients of a server may use.

    Args:
        max_connections: open at the same time.
        header_timeout_s: from the connection, or the first byte of a further request, to the end of the
            headers.
        body_timeout_s: from the end of the headers to the end of the body.
        send_timeout_s: how long a client may leave a response unread.
    """

    max_connections: int
    header_timeout_s: float
    body_timeout_s: float
    send_timeout_s: float


class _Part(StrEnum):
    HEADERS = "headers"
    BODY = "body"


def limited_protocol(limits: ConnectionLimits) -> type[H11Protocol]:
    """Return a protocol for uvicorn whose connections keep within ``limits``."""
    return type("LimitedProtocol", (_LimitedProtocol,), {"limits": limits})


class _LimitedProtocol(H11Protocol):
    limits: ClassVar[ConnectionLimits]
    logged_full_at_s: ClassVar[float] = -math.inf

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._awaited: _Part | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._log_full()
            self._answer(NotReady("connections", "too many connections are open; try again later"))
        else:
            self._await(_Part.HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._await(None)
        self.resume_writing()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Process what was received, then wait for what is missing of the request."""
        super().handle_events()
        scope: HTTPScope | None = self.scope
        if scope and "extensions" not in scope:
            scope["extensions"] = {ABORT: {"abort": self.transport.abort}}
        if self.transport.get_protocol() is not self:  # a WebSocket now
            self._await(None)
        elif self.conn.their_state is h11.SEND_BODY:
            self._await(_Part.BODY)
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._await(_Part.HEADERS)
        else:
            self._await(None)

    def pause_writing(self) -> None:
        """End the connection if the client does not read on."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue when the client has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def on_response_complete(self) -> None:
        """Wait for the next request, or end the connection even if its last bytes are not read."""
        super().on_response_complete()
        self._end_if_closing()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection."""
        super().timeout_keep_alive_handler()
        self._end_if_closing()

    def _await(self, part: _Part | None) -> None:
        if part is self._awaited:
            return
        self._awaited = part
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if part is not None:
            limits = self.limits
            timeout_s = limits.body_timeout_s if part is _Part.BODY else limits.header_timeout_s
            self._deadline = self.loop.call_later(timeout_s, self._timed_out, part, timeout_s)

    def _timed_out(self, part: _Part, timeout_s: float) -> None:
        is_silent = part is _Part.HEADERS and not self.conn.trailing_data[0]
        if not is_silent and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._answer(TooSlow(part, timeout_s))
        else:
            self._close()

    def _answer(self, error: Refused) -> None:
        response = refusal(error)
        status, headers = HTTPStatus(error.status), [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self._close()

    def _close(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self._end_if_closing()

    def _end_if_closing(self) -> None:
        if self.transport.is_closing():
            self.loop.call_later(self.limits.send_timeout_s, self.transport.abort)

    def _log_full(self) -> None:
        now_s = self.loop.time()
        if now_s - type(self).logged_full_at_s >= _LOG_EVERY_S:
            type(self).logged_full_at_s = now_s
            log.warning("connections_full", max_connections=self.limits.max_connections)
