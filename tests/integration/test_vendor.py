"""The stand-in of the vendor behaves, and misbehaves, as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.vendor import Misbehaviour, Vendor

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
def test_what_is_not_in_the_folder_is_not_found(vendor: Vendor, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("[]")
    assert get(vendor.base_url + name.replace("..", "%2e%2e")).status_code == 404


def test_a_status_is_answered_for_the_first_requests_only(vendor: Vendor) -> None:
    vendor.misbehave("day.json", Misbehaviour(status=503, times=2))
    assert [get(vendor.url_of("day.json")).status_code for _ in range(3)] == [503, 503, 200]


def test_a_cut_connection_is_an_error_of_the_client(vendor: Vendor) -> None:
    vendor.misbehave("day.json", Misbehaviour(cut_after_bytes=1000))
    with pytest.raises(httpx.RemoteProtocolError):
        get(vendor.url_of("day.json"))


def test_a_held_body_goes_on_after_the_release(vendor: Vendor) -> None:
    vendor.misbehave("day.json", Misbehaviour(hold_after_bytes=10))
    with httpx.stream("GET", vendor.url_of("day.json"), trust_env=False, timeout=5) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == CONTENT[:10]
        vendor.release()
        assert b"".join(chunks) == CONTENT[10:]


def test_a_redirect_names_its_target(vendor: Vendor) -> None:
    vendor.misbehave("day.json", Misbehaviour(redirect_to="https://elsewhere.test/day.json"))
    answer = get(vendor.url_of("day.json"))
    assert (answer.status_code, answer.headers["location"]) == (302, "https://elsewhere.test/day.json")


def test_a_body_without_a_length_ends_with_the_connection(vendor: Vendor) -> None:
    vendor.misbehave("day.json", Misbehaviour(content_length=False, content_type="text/html"))
    answer = get(vendor.url_of("day.json"))
    assert (answer.content, answer.headers["content-type"]) == (CONTENT, "text/html")
    assert "content-length" not in answer.headers
