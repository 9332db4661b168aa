"""The vendor's stand-in serves files, with the faults that are set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulator.vendor import Fault, Vendor
from tests.support.poll import eventually

CONTENT = b"[" + b"1," * 500_000 + b"1]"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "day.json").write_bytes(CONTENT)
    with Vendor(tmp_path / "files") as vendor:
        yield vendor


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=5)


def test_a_file_is_served_with_its_length_and_the_request_remembered_without_its_query(
    vendor: Vendor,
) -> None:
    answer = get(vendor.url_of("day.json"))
    assert (answer.content, answer.headers["content-length"]) == (CONTENT, str(len(CONTENT)))
    assert [(seen.path, seen.has_query) for seen in vendor.requests.seen] == [("/day.json", True)]
    assert vendor.requests.count("day.json") == 1


@pytest.mark.parametrize("name", ["other.json", "../secret.json", ".."])
def test_a_file_outside_of_the_folder_is_not_found(vendor: Vendor, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("[]")
    assert get(vendor.base_url + name.replace("..", "%2e%2e")).status_code == 404


def test_a_status_is_answered_for_the_first_requests_only(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(status=503, times=2))
    assert [get(vendor.url_of("day.json")).status_code for _ in range(3)] == [503, 503, 200]


def test_a_cut_connection_is_an_error_of_the_client(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(cut_after_bytes=1000))
    with pytest.raises(httpx.RemoteProtocolError):
        get(vendor.url_of("day.json"))


def test_a_held_body_goes_on_after_the_release(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(hold_after_bytes=10))
    with httpx.stream("GET", vendor.url_of("day.json"), trust_env=False, timeout=5) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == CONTENT[:10]
        vendor.release()
        assert b"".join(chunks) == CONTENT[10:]


def test_a_redirect_has_its_target(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(redirect_to="https://elsewhere.test/day.json"))
    answer = get(vendor.url_of("day.json"))
    assert (answer.status_code, answer.headers["location"]) == (302, "https://elsewhere.test/day.json")


def test_a_body_without_a_length_ends_with_the_connection(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(content_length=False, content_type="text/html"))
    answer = get(vendor.url_of("day.json"))
    assert (answer.content, answer.headers["content-type"]) == (CONTENT, "text/html")
    assert "content-length" not in answer.headers


def asked_for(vendor: Vendor, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(vendor.url_of("day.json"), headers=named, trust_env=False, timeout=5)


async def test_the_rest_is_sent_while_the_file_is_the_same(vendor: Vendor, tmp_path: Path) -> None:
    etag = get(vendor.url_of("day.json")).headers["etag"]
    answer = asked_for(vendor, Range="bytes=10-", If_Range=etag)
    assert (answer.status_code, answer.content) == (206, CONTENT[10:])
    assert answer.headers["content-range"] == f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert asked_for(vendor, Range=f"bytes={len(CONTENT)}-", If_Range=etag).status_code == 416
    (tmp_path / "files" / "day.json").write_bytes(b"[2]")
    answer = asked_for(vendor, Range="bytes=1-", If_Range=etag)
    assert (answer.status_code, answer.content) == (200, b"[2]")
    # The server counts a chunk after it was written: the client may have it before.
    await eventually(lambda: vendor.requests.sent_bytes == 2 * len(CONTENT) - 10 + 3)


def test_ranges_can_be_ignored_and_entity_tags_be_anything(vendor: Vendor) -> None:
    vendor.inject_fault("day.json", Fault(ranges=False, headers={"ETag": 'W/"x"'}))
    answer = asked_for(vendor, Range="bytes=10-")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, CONTENT, 'W/"x"')
    vendor.inject_fault("day.json", Fault(if_range=False, headers={"ETag": ""}))
    answer = asked_for(vendor, Range="bytes=10-", If_Range='"other"')
    assert (answer.status_code, "etag" in answer.headers) == (206, False)


def test_anything_can_come_instead_of_an_answer(vendor: Vendor) -> None:
    for instead in (b"", b"SSH-2.0-OpenSSH\r\n"):
        vendor.inject_fault("day.json", Fault(raw_response=instead))
        with pytest.raises(httpx.RemoteProtocolError):
            get(vendor.url_of("day.json"))
