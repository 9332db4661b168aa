"""Serve an ASGI application over HTTP until it is stopped, then let open requests end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from services.intake.live.reader_connection import HEARTBEAT_S
from services.intake.server.connection_limits import ConnectionLimits, limited_protocol
from services.intake.server.websocket_limits import MAX_MESSAGE_BYTES, limited_websocket
from services.intake.settings import IntakeSettings
from shared.errors import CannotStart

_BACKLOG = 2048
log = structlog.get_logger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        CannotStart: the port is taken, or the host is not one of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(
            f"intake cannot listen on {host} port {port}: {error.strerror or error} "
            "(GEXLAKE_HOST and GEXLAKE_PORT say where)"
        ) from error
    # Connections inherit it. Without it, the body of a response waits 40 ms for the client's delayed ack of
    # its headers: asyncio sets it only on sockets that were created with the protocol's number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve_http(
    app: ASGIApp, listener: socket.socket, settings: IntakeSettings, stop: asyncio.Event
) -> None:
    """Serve until ``stop`` is set, then drain.

    Raises:
        CannotStart: the TLS files are unusable.
    """
    server = _Server(_config(app, settings))
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: setattr(server, "should_exit", True))
    host, port = listener.getsockname()[:2]
    log.info("http_listening", host=host, port=port, tls=settings.ssl_certfile is not None)
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()
        listener.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``shared.process.runtime``."""
        yield


def _config(app: ASGIApp, settings: IntakeSettings) -> uvicorn.Config:
    if settings.ssl_keyfile and not settings.ssl_certfile:
        raise CannotStart("GEXLAKE_SSL_KEYFILE is set without GEXLAKE_SSL_CERTFILE")
    limits = ConnectionLimits(
        max_connections=settings.max_connections,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        send_timeout_s=settings.send_timeout_s,
    )
    config = uvicorn.Config(
        app,
        http=limited_protocol(limits),
        lifespan="off",
        ws=limited_websocket(limits),
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=HEARTBEAT_S,
        ws_ping_timeout=settings.stream_send_timeout_s,
        ws_per_message_deflate=False,  # a compressor for each reader costs more than it saves
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # rate limits count the peer, not what it says of itself
        timeout_keep_alive=settings.timeout_keep_alive,
        timeout_graceful_shutdown=round(settings.drain_timeout_s),
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(
            f"the TLS files are unusable: {error} (GEXLAKE_SSL_CERTFILE, GEXLAKE_SSL_KEYFILE)"
        ) from error
    return config
