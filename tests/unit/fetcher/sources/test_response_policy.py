"""What statuses, redirects and first bytes mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.fetcher import errors
from services.fetcher.sources.response_policy import (
    check_first_bytes,
    check_headers,
    check_url,
    error_for_status,
    host_of,
    redirect_target,
    retry_after_s,
)
from shared.errors import Terminal, Transient
from shared.sources.gate import SourceGate

HOST = "https://hist.gex.bot"
URL = "https://hist.gex.bot/a/day.json?sig=secret"
GATE = SourceGate.parse(("https://hist.gex.bot/", "https://blob.test/gex/"), ("/srv/history",))


def test_200_is_a_file() -> None:
    assert error_for_status(HOST, 200) is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_busy_source_is_asked_again(status: int) -> None:
    assert isinstance(error_for_status(HOST, status), errors.SourceBusy)
    assert issubclass(errors.SourceBusy, Transient)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.SignatureRejected),
        (403, errors.SignatureRejected),
        (404, errors.SourceMissing),
        (410, errors.SourceMissing),
        (204, errors.UnusableAnswer),
        (206, errors.UnusableAnswer),
        (304, errors.UnusableAnswer),
        (400, errors.UnusableAnswer),
        (418, errors.UnusableAnswer),
    ],
)
def test_other_statuses_are_final_and_say_so(status: int, kind: type[Terminal]) -> None:
    error = error_for_status(HOST, status)
    assert type(error) is kind
    assert isinstance(error, Terminal)
    assert HOST in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Fri, 14 Nov 2025 17:02:00 GMT", 120),
        ("Friday, 14-Nov-25 17:02:00 GMT", 120),
        ("Fri Nov 14 17:02:00 2025", 120),
        ("Fri, 14 Nov 2025 16:00:00 GMT", 0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, None),
        ("Fri, 99 Nov 2025 17:02:00 GMT", None),
        ("Fri, 14 Nov 9999999999 17:02:00 GMT", None),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, datetime(2025, 11, 14, 17, 0, tzinfo=UTC)) == seconds


def test_a_busy_source_says_when_to_come_back() -> None:
    error = error_for_status(HOST, 429, 120)
    assert isinstance(error, errors.SourceBusy)
    assert error.retry_after_s == 120
    assert "a Retry-After of 120 s" in str(error)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.vendor+json",
        "application/gzip",
        "application/x-gzip",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain",
    ],
)
def test_a_type_that_a_file_may_have_passes(kind: str) -> None:
    check_headers(HOST, {"Content-Type": kind} if kind else {})
    for encoding in ("identity", "gzip", "X-Gzip", ""):
        check_headers(HOST, {"Content-Type": kind, "Content-Encoding": encoding})


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, "text/html"),
        ({"Content-Type": "application/xml"}, "application/xml"),
        ({"Content-Type": "image/png"}, "image/png"),
        ({"Content-Type": "multipart/byteranges; boundary=x"}, "multipart/byteranges"),
        ({"Content-Type": "https://x.test/?sig=secret"}, "something unreadable"),
        ({"Content-Encoding": "deflate"}, "Content-Encoding"),
        ({"Content-Encoding": "br", "Content-Type": "application/json"}, "Content-Encoding"),
    ],
)
def test_a_type_or_an_encoding_that_no_file_has_is_final(headers: dict[str, str], words: str) -> None:
    with pytest.raises(errors.UnusableAnswer, match=words) as raised:
        check_headers(HOST, headers)
    assert "secret" not in str(raised.value)


def test_a_rejected_signature_asks_for_a_fresh_url() -> None:
    assert "the signature has expired or is not valid: post a fresh URL" in str(error_for_status(HOST, 403))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b/day.json?sig=other", "https://hist.gex.bot/b/day.json?sig=other"),
        ("day2.json", "https://hist.gex.bot/a/day2.json"),
        ("https://blob.test/gex/day.json?sv=1", "https://blob.test/gex/day.json?sv=1"),
    ],
)
def test_a_redirect_to_an_allowed_source_is_followed(location: str, target: str) -> None:
    assert redirect_target(GATE, URL, location) == target


@pytest.mark.parametrize(
    "location",
    [
        "https://hist.gex.bot.evil.test/day.json?sig=secret",
        "http://hist.gex.bot/day.json?sig=secret",
        "//169.254.169.254/latest?sig=secret",
        "https://blob.test/other/day.json?sig=secret",
        "https://user:secret@hist.gex.bot/day.json",
        "file:///srv/history/day.json",
        "ftp://hist.gex.bot/day.json?sig=secret",
        "https://[broken/day.json?sig=secret",
    ],
)
def test_a_redirect_elsewhere_is_refused_without_telling_its_query(location: str) -> None:
    with pytest.raises(errors.SourceRefused, match="redirects") as raised:
        redirect_target(GATE, URL, location)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("location", [None, ""])
def test_a_redirect_to_nowhere_is_unusable(location: str | None) -> None:
    with pytest.raises(errors.UnusableAnswer, match="without saying where"):
        redirect_target(GATE, URL, location)


def test_a_url_outside_the_allow_list_is_refused() -> None:
    with pytest.raises(errors.SourceRefused, match="GEXLAKE_ALLOWED_SOURCES") as raised:
        check_url(GATE, "https://elsewhere.test/day.json?sig=secret")
    assert "secret" not in str(raised.value)
    assert check_url(GATE, URL).path == "/a/day.json"


def test_the_name_of_a_source_has_no_query_and_no_user() -> None:
    assert host_of("https://user:pw@hist.gex.bot:443/day.json?sig=secret") == HOST


def test_the_name_of_a_source_at_an_odd_port_has_it() -> None:
    assert host_of("http://127.0.0.1:9000/day.json?sig=secret") == "http://127.0.0.1:9000"
    assert host_of("http://[::1]:9000/day.json") == "http://[::1]:9000"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("a.json", b"[{"),
        ("a.json", b" \r\n\t{"),
        ("a.json", b"\xef\xbb\xbf["),
        ("a.json", b"\xef\xbb\xbf\r\n{"),
        ("a.jsonl", b'{"ticker"'),
        ("a.json.gz", b"[{"),
    ],
)
def test_bytes_that_begin_as_json_does_pass(name: str, first: bytes) -> None:
    check_first_bytes(HOST, name, first)


@pytest.mark.parametrize(
    ("name", "first", "words"),
    [
        ("a.json", b"\n<!DOCTYPE html><p>sig=secret", "web page"),
        ("a.json.gz", b"<?xml?><Error>sig=secret", "web page"),
        ("a.json", b"\x1f\x8b\x08", "compressed twice"),
        ("a.json", b"timestamp,spot", "neither"),
        ("a.json", b"   \n", "neither"),
        ("a.json", b"\xef\xbb\xbf<html>", "web page"),
    ],
)
def test_content_that_is_no_json_is_refused_without_a_quote(name: str, first: bytes, words: str) -> None:
    with pytest.raises(errors.NotAHistoryFile, match=words) as raised:
        check_first_bytes(HOST, name, first)
    assert "secret" not in str(raised.value)
