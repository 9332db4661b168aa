"""Which methods a path takes, and what pages of a listed origin are told of the live routes."""

from __future__ import annotations

import pytest

from services.intake.settings import IntakeSettings
from tests.support.intake.live_routes import live_routes

ORIGIN = "https://unusualwhales.com"


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("OPTIONS", "/gex", 204, "GET, OPTIONS, POST"),
        ("OPTIONS", "/uw", 204, "OPTIONS, POST"),
        ("DELETE", "/gex", 405, "GET, OPTIONS, POST"),
        ("GET", "/uw", 405, "OPTIONS, POST"),
        ("POST", "/jobs", 405, "GET"),
    ],
)
async def test_a_path_says_which_methods_it_takes(method: str, path: str, status: int, allowed: str) -> None:
    async with live_routes() as routes:
        answer = await routes.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (status, allowed)


@pytest.mark.parametrize("path", ["/gex", "/uw"])
async def test_a_page_of_a_listed_origin_may_post_live_payloads(path: str) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    asked |= {"access-control-request-headers": "content-type"}
    async with live_routes(IntakeSettings(cors_origins=(ORIGIN,))) as routes:
        preflight = await routes.http.options(path, headers=asked)
        answer = await routes.http.post(path, json={}, headers={"origin": ORIGIN})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
