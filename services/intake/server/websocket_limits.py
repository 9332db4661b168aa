"""Limits on WebSockets that uvicorn has no settings for: a client that does not read keeps no connection."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from services.intake.live.reader_connection import ABORT
from services.intake.server.connection_limits import ConnectionLimits

MAX_MESSAGE_BYTES: Final = 4096
"""Of what clients send: nothing that is read."""
_CLOSE_TIMEOUT_S: Final = 1.0


def limited_websocket(limits: ConnectionLimits) -> type[WebSocketsSansIOProtocol]:
    """Return a protocol for uvicorn whose connections keep within ``limits``."""
    return type("LimitedWebSocket", (_LimitedWebSocket,), {"limits": limits})


class _LimitedWebSocket(WebSocketsSansIOProtocol):
    limits: ClassVar[ConnectionLimits]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        """Accept the handshake; the application may end the connection at once."""
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions: dict[str, dict[object, object]] = self.scope["extensions"]
            extensions[ABORT] = {"abort": self.transport.abort}

    async def send(self, message: ASGISendEvent) -> None:
        """Send to the client; a refusal completes the handshake, which uvicorn does not note."""
        await super().send(message)
        self.handshake_complete |= self.initial_response is not None and self.close_sent

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """End the connection if the client does not read on."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue when the client has read."""
        super().resume_writing()
        self._stop_timer()

    def keepalive_timeout(self) -> None:
        """End the connection of a client that does not answer a ping."""
        super().keepalive_timeout()
        self._abort_soon()

    def shutdown(self) -> None:
        """End the connection when the service stops, even if the client does not read."""
        super().shutdown()
        self._abort_soon()

    def _abort_soon(self) -> None:
        self.loop.call_later(_CLOSE_TIMEOUT_S, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
