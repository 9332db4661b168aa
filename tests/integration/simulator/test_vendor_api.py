"""The stand-in of the vendor's API has the rules of the real one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from simulator.vendor import Vendor
from simulator.vendor_api import KEY, FakeVendorApi
from tests.support.repository import ROOT

NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
PATH = "/hist/NQ_NDX/classic/gex_zero/2025-11-14"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / NAME).write_bytes(b"[1]")
    with Vendor(tmp_path / "files") as vendor:
        yield vendor


@pytest.fixture
def api(vendor: Vendor) -> Iterator[FakeVendorApi]:
    with FakeVendorApi(vendor, missing={date(2025, 11, 13)}, interval_s=60) as api:
        yield api


def ask(api: FakeVendorApi, path: str = f"{PATH}?noredirect", **headers: str) -> httpx.Response:
    return httpx.get(api.base + path, headers={**HEADERS, **headers}, trust_env=False, timeout=5)


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=5)


def test_the_vendor_serves_signed_urls_only(vendor: Vendor, api: FakeVendorApi) -> None:
    url = ask(api).json()["url"]
    assert fetch(url).content == b"[1]"
    assert [fetch(bad).status_code for bad in (vendor.url_of(NAME), url.replace("se=", "se=9"))] == [403, 403]


def test_a_signature_can_be_issued_expired(vendor: Vendor) -> None:
    with FakeVendorApi(vendor, interval_s=0) as api:
        api.expire_next = 1
        assert [fetch(ask(api).json()["url"]).status_code for _ in range(2)] == [403, 200]


def test_without_noredirect_it_redirects_to_the_file(api: FakeVendorApi) -> None:
    answer = ask(api, PATH)
    assert (answer.status_code, answer.headers["location"]) == (302, answer.json()["url"])


def test_two_requests_for_one_ticker_and_category_are_too_many(api: FakeVendorApi) -> None:
    answers = [ask(api), ask(api), ask(api, "/hist/NQ_NDX/classic/gex_one/2025-11-14?noredirect")]
    assert [answer.status_code for answer in answers] == [200, 429, 404]
    assert answers[1].headers["retry-after"] == "1"
    assert api.statuses == {200: 1, 429: 1, 404: 1}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (PATH, {"Authorization": "Bearer another"}, 401),
        (PATH, {"Authorization": ""}, 401),
        (PATH, {"Content-Type": ""}, 400),
        ("/hist/NQ_NDX/classic/gex_none/2025-11-14", {}, 400),
        ("/hist/NQ_NDX/classic/gex_zero/yesterday", {}, 400),
        ("/tickers", {}, 400),
        ("/hist/NQ_NDX/classic/gex_zero/2025-11-13", {}, 404),
        ("/hist/SPX/classic/gex_zero/2025-11-14", {}, 404),
    ],
)
def test_a_refused_request_has_a_status(
    api: FakeVendorApi, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(api, f"{path}?noredirect", **headers).status_code == status
    assert [request.status for request in api.requests] == [status]


def test_as_a_program_it_prints_the_settings_for_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "simulator.vendor_api",
        "--folder",
        str(tmp_path),
        "--missing",
        "2025-11-13",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            settings = dict(program.stdout.readline().strip().split("=", 1) for _ in range(3))
            answer = httpx.get(f"{settings['GEXLAKE_VENDOR_API']}{PATH}", headers=HEADERS, trust_env=False)
        finally:
            program.send_signal(signal.SIGTERM)
    assert settings.keys() == {"GEXLAKE_VENDOR_API", "GEXBOT_API_KEY", "GEXLAKE_ALLOWED_SOURCES"}
    assert (answer.status_code, program.returncode) == (404, 0)
