"""What a browser sends for a web page is let in only from listed origins; what programs send always is."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from services.intake.app import create_app, new_api
from services.intake.settings import IntakeSettings
from services.intake.wiring import wire
from shared.errors import CannotStart
from shared.process.settings import load

KEY: Final = "a-key-of-the-client"
OPEN: Final = {"/health", "/ready", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
"""Open to clients without a key, as is what /docs loads."""
HERE: Final = "http://127.0.0.1:8877"
CROSS_SITE: Final = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}
BROWSER: Final = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:60.0)"}
FOREIGN: Final = {
    "fetch": {"Origin": "https://evil.test", **CROSS_SITE, **BROWSER},
    "fetch without fetch metadata": {"Origin": "https://evil.test"},
    "another port of this host": {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    "a sandboxed frame": {"Origin": "null"},
    "an origin that names this host as its scheme's": {"Origin": "evil://127.0.0.1:8877"},
    "an image": CROSS_SITE,
    "a frame": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    "two origins": {"Origin": "https://listed.test, https://evil.test"},
}
"""What browsers send for pages of unlisted origins."""


@cache
def app_with(**settings: Any) -> ASGIApp:
    """Return the app with these settings, one for all tests: none of them starts or changes it."""
    return create_app(wire(IntakeSettings(**settings)))


def client_of(*, base_url: str = HERE, **settings: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app_with(**settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


@pytest.fixture
def client() -> httpx.AsyncClient:
    return client_of(cors_origins=("https://listed.test",), allowed_hosts=("lake.test", "::2"))


def all_routes() -> list[tuple[str, str]]:
    """Return each method and path of the app, those that serve the documentation too."""
    found: list[tuple[str, str]] = []
    pending: list[Any] = list(new_api().routes)
    while pending:
        match pending.pop(0):
            case Mount(path=path):
                found.append(("GET", f"{path}/swagger-ui.css"))
            case Route(path=path, methods=methods) | APIRoute(path=path, methods=methods):
                path = re.sub(r"\{.*?\}", "5973d48f-4509-53d6-a216-6881494f133d", path)
                found += [(method, path) for method in sorted(methods or ())]
            case APIWebSocketRoute():
                pass  # its own tests are below
            case group:
                pending += group.original_router.routes
    return found


ROUTES: Final = all_routes()


@pytest.mark.parametrize("sent", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_refuses_a_page_of_another_origin(
    client: httpx.AsyncClient, method: str, path: str, sent: dict[str, str]
) -> None:
    answer = await client.request(method, path, headers=sent)
    assert answer.status_code == 403
    assert not {name for name in answer.headers if name.startswith("access-control-")}
    if method != "HEAD":
        assert "GEXLAKE_CORS_ORIGINS" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1.evil.test:8877", "0.0.0.0:8877", "", "[::3]", "::1"]
)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_refuses_a_name_that_a_page_has_pointed_here(
    client: httpx.AsyncClient, method: str, path: str, host: str
) -> None:
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    answer = await client.request(method, path, headers=own)
    assert answer.status_code == 421
    if method != "HEAD":
        assert "GEXLAKE_ALLOWED_HOSTS" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost:8877", "LOCALHOST", "127.0.0.1", "[::1]:8877", "lake.test:1", "[::2]"]
)
async def test_the_names_of_the_loopback_and_the_listed_ones_are_let_in(
    client: httpx.AsyncClient, host: str
) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "let_in"),
    [
        ({"host": "192.0.2.7"}, "192.0.2.7", 200),
        ({"host": "192.0.2.7"}, "192.0.2.8", 421),
        ({"host": "0.0.0.0", "published_host": "192.0.2.7"}, "192.0.2.7", 200),
        ({"host": "0.0.0.0"}, "0.0.0.0", 421),
        ({"host": "0.0.0.0"}, "", 421),
    ],
)
async def test_the_address_to_listen_on_is_a_host(settings: dict[str, str], host: str, let_in: int) -> None:
    async with client_of(**settings) as client:
        assert (await client.get("/health", headers={"Host": f"{host}:8877"})).status_code == let_in


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_with_keys_every_route_but_the_open_ones_needs_one(method: str, path: str) -> None:
    async with client_of(api_keys=(KEY,)) as client:
        refused = (await client.request(method, path)).status_code == 401
        assert refused != (path in OPEN or path.startswith("/static-offline-docs/"))
        assert (await client.request(method, path, headers={"X-API-Key": KEY})).status_code != 401


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({}, id="a program"),
        pytest.param({"Content-Type": "text/plain"}, id="a program that sends text"),
        pytest.param({"Origin": HERE, "Sec-Fetch-Site": "same-origin", **BROWSER}, id="the page /docs"),
        pytest.param({"Origin": "https://listed.test", "Content-Type": "text/plain", **BROWSER}, id="listed"),
        pytest.param({"Content-Type": "application/json", **BROWSER}, id="JSON without an origin"),
        pytest.param({"Sec-Fetch-Site": "none", "Content-Type": "text/plain", **BROWSER}, id="an extension"),
    ],
)
async def test_programs_and_pages_of_listed_origins_may_post(
    client: httpx.AsyncClient, sent: dict[str, str]
) -> None:
    answer = await client.post("/gex_history_url", content=b"{}", headers=sent)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "url")


async def handshake(headers: dict[str, str], **settings: Any) -> list[dict[str, Any]]:
    """Ask for the WebSocket as a client with these headers does; return what the app answers."""
    sent: list[dict[str, Any]] = []
    given = {"Host": "127.0.0.1:8877", **headers}.items()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/gex/ws",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app_with(**settings)(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("headers", "settings", "status"),
    [
        *(({"Origin": "https://evil.test", **BROWSER}, keys, 403) for keys in ({}, {"api_keys": (KEY,)})),
        ({"Origin": "http://127.0.0.1:3000"}, {}, 403),
        ({"Origin": "null", "X-API-Key": KEY}, {"api_keys": (KEY,)}, 403),
        ({"Host": "evil.test", "Origin": "http://evil.test"}, {}, 421),
        ({"Host": "evil.test"}, {}, 421),
        ({}, {"api_keys": (KEY,)}, 401),
        ({"Authorization": f"Basic {KEY}"}, {"api_keys": (KEY,)}, 401),
        ({"X-API-Key": "wrong"}, {"api_keys": (KEY,)}, 401),
        # Let in, but without a broker there is nothing to follow.
        ({}, {}, 503),
        ({"X-API-Key": KEY}, {"api_keys": (KEY,)}, 503),
        ({"Authorization": f"bearer {KEY}"}, {"api_keys": (KEY,)}, 503),
        ({"Origin": HERE}, {}, 503),
        ({"Origin": "https://mine.test"}, {"cors_origins": ("https://mine.test",)}, 503),
    ],
)
async def test_a_websocket_is_guarded_as_requests_are(
    headers: dict[str, str], settings: dict[str, Any], status: int
) -> None:
    start, body = await handshake(headers, **settings)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert b'"message"' in body["body"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize(
    "path", ["/gex_history_url", "/backfill", "/jobs/5973d48f-4509-53d6-a216-6881494f133d/replay"]
)
async def test_a_form_of_an_older_browser_is_refused(
    client: httpx.AsyncClient, path: str, content_type: str
) -> None:
    answer = await client.post(path, content=b"{}", headers={**BROWSER, "Content-Type": content_type})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/docs", "/health"])
async def test_a_link_of_another_page_opens_but_is_not_framed(client: httpx.AsyncClient, path: str) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = await client.get(path, headers=link)
    assert answer.status_code == 200
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.post("/gex_history_url", json={}, headers=link)).status_code == 403


async def test_a_star_lets_any_page_and_any_host_in() -> None:
    async with client_of(cors_origins=("*",), allowed_hosts=("*",), base_url="http://any.test") as client:
        assert (await client.get("/health", headers={"Origin": "https://other.test"})).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "fitted"),
    [
        ("CORS_ORIGINS", "https://Mine.test/, *", ("https://mine.test", "*")),
        ("CORS_ORIGINS", "chrome-extension://abc", ("chrome-extension://abc",)),
        (
            "ALLOWED_HOSTS",
            "Lake.test, [::2], 192.0.2.7, intake, *",
            ("lake.test", "::2", "192.0.2.7", "intake", "*"),
        ),
    ],
)
def test_origins_and_hosts_are_kept_as_browsers_write_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fitted: tuple[str, ...]
) -> None:
    monkeypatch.setenv(f"GEXLAKE_{name}", value)
    assert getattr(load(IntakeSettings), name.lower()) == fitted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ORIGINS", "mine.test"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://mine.test/page"),
        ("CORS_ORIGINS", "https://*.mine.test"),
        ("ALLOWED_HOSTS", "http://lake.test"),
        ("ALLOWED_HOSTS", "lake.test:8877"),
        ("ALLOWED_HOSTS", "*.lake.test"),
    ],
)
def test_what_is_no_origin_or_host_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"GEXLAKE_{name}", value)
    with pytest.raises(CannotStart, match=f"GEXLAKE_{name} is unusable: .* is not an? "):
        load(IntakeSettings)
