"""Refuse requests that a web page sends: those for a foreign host name, and those of an unlisted origin.

A browser sends requests to this machine for every page that it shows. ``Host`` tells a name that a page has
pointed here (DNS rebinding); ``Origin`` and ``Sec-Fetch-Site`` tell a page of another origin. Programs send
neither of the latter two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.intake.errors import CrossOrigin, ForeignHost, Refused
from services.intake.http.error_responses import refusal
from services.intake.http.json_body import is_json_type

_ANY: Final = "*"
_WITHOUT_EFFECT: Final = frozenset({"GET", "HEAD"})
_WEB: Final = frozenset({"http", "https"})
_MAX_LOGGED_ORIGINS: Final = 100
log = structlog.get_logger(__name__)


class BrowserGuard:
    """Pass on to ``app`` what no page of an unlisted origin can have sent.

    Args:
        app: the application; its responses get headers that forbid browsers to frame or reinterpret them.
        hosts: host names in lower case, without ports and brackets, that requests may be addressed to;
            ``*`` for any.
        origins: origins in lower case whose pages may send requests and read the responses; ``*`` for any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._hosts: Final = frozenset(hosts)
        self._origins: Final = frozenset(origins)
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # Its handshake is a GET, and a browser sends the origin of the page with it.
            refused = self._refused("GET", Headers(scope=scope))
            await (self._app if refused is None else refusal(refused))(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
            await send(message)

        refused = self._refused(scope["method"], Headers(scope=scope))
        app = self._app if refused is None else refusal(refused)
        await app(scope, receive, hardened)

    def _refused(self, method: str, headers: Headers) -> Refused | None:
        hosts = headers.getlist("host")
        host = host_name(hosts[0]) if len(hosts) == 1 else ""
        if _ANY not in self._hosts and host not in self._hosts:
            return ForeignHost(host)
        if self._is_let_in(method, headers):
            return None
        origin = headers.get("origin")
        if origin and origin not in self._logged and len(self._logged) < _MAX_LOGGED_ORIGINS:
            self._logged.add(origin)
            log.warning("origin_refused", origin=origin[:200])
        return CrossOrigin(origin)

    def _is_let_in(self, method: str, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if origins:
            return all(self._is_listed(origin, headers) for origin in origins)
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return is_top_level_navigation(method, headers)
        # Browsers of before 2020 sent a form without saying where it came from.
        is_form = method not in _WITHOUT_EFFECT and not is_json_type(headers.get("content-type"))
        return not (is_form and "sec-fetch-site" not in headers and is_browser(headers))

    def _is_listed(self, origin: str, headers: Headers) -> bool:
        if _ANY in self._origins or origin.lower() in self._origins:
            return True
        scheme, _, authority = origin.lower().partition("://")
        return scheme in _WEB and authority == headers.get("host", "").lower()


def host_name(header: str) -> str:
    """Return the host of a ``Host`` header in lower case: without its port, and without brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text


def is_top_level_navigation(method: str, headers: Headers) -> bool:
    """Report whether a link led here: its page cannot read the answer, and has no frame around it."""
    return (
        method in _WITHOUT_EFFECT
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def is_browser(headers: Headers) -> bool:
    """Report whether the client names itself as every browser does."""
    return headers.get("user-agent", "").startswith("Mozilla/")
