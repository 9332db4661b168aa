"""The gate that every source URL passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources import Prefix, SourceGate

GATE = SourceGate.parse(
    ("https://hist.gex.bot/", "https://blob.test/exports", "http://127.0.0.1:9000/", "http://[::1]:9001/v"),
    ("/srv/history", "/mnt/more/"),
)
NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"


@pytest.mark.parametrize(
    "url",
    [
        f"https://hist.gex.bot/{NAME}",
        f"https://hist.gex.bot/a/b/{NAME}?sig=x%2Fy&e=1",
        f"https://hist.gex.bot/{NAME}?next=https://evil.test/..",
        f"https://hist.gex.bot:443/{NAME}",
        f"https://hist.gex.bot:/{NAME}",
        f"HTTPS://HIST.GEX.BOT/{NAME}",
        f"https://blob.test/exports/{NAME}",
        f"http://127.0.0.1:9000/{NAME}",
        f"http://[::1]:9001/v/{NAME}",
        f"file:///srv/history/{NAME}",
        f"file://localhost/srv/history/deep/{NAME}",
        f"file:///mnt/more/{NAME}",
        f"file:///srv/history/with%20blank/{NAME}",
    ],
)
def test_a_url_under_an_allowed_prefix_passes(url: str) -> None:
    assert GATE.check(url).path.endswith(NAME)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (f"https://hist.gex.bot.evil.test/{NAME}", "https://hist.gex.bot.evil.test is not allowed"),
        (f"https://evil.test/{NAME}", "https://evil.test is not allowed"),
        (f"https://evil.test/https://hist.gex.bot/{NAME}", "is not allowed"),
        (f"https://evil.test?https://hist.gex.bot/{NAME}", "is not allowed"),
        (f"https://evil.test#https://hist.gex.bot/{NAME}", "is not allowed"),
        (f"https://sub.hist.gex.bot/{NAME}", "is not allowed"),
        (f"https://hist.gex.bot./{NAME}", "is not allowed"),
        (f"https://hist.gex.bo\u0442/{NAME}", "no URL has"),
        (f"http://hist.gex.bot/{NAME}", "is not allowed"),
        (f"https://hist.gex.bot:8443/{NAME}", "is not allowed"),
        (f"https://hist.gex.bot:0/{NAME}", "is not allowed"),
        (f"https://hist.gex.bot:port/{NAME}", "malformed"),
        (f"https://hist.gex.bot:99999/{NAME}", "malformed"),
        (f"https://[::1/{NAME}", "malformed"),
        (f"https://blob.test/exports2/{NAME}", "is not allowed"),
        (f"https://blob.test/{NAME}", "is not allowed"),
        (f"https://blob.test/exports/../{NAME}", "climbs"),
        (f"https://blob.test/exports/%2e%2e/{NAME}", "climbs"),
        (f"https://blob.test/exports/%2E./{NAME}", "climbs"),
        (f"https://blob.test/exports/..%2f{NAME}", "climbs"),
        (f"https://blob.test/exports/a%5cb/{NAME}", "hides a slash"),
        (f"https://blob.test/exports/%252e%252e/{NAME}", "climbs"),
        (f"https://blob.test/exports/%00/{NAME}", "climbs"),
        (f"https://user:pass@hist.gex.bot/{NAME}", "userinfo"),
        (f"https://user@hist.gex.bot/{NAME}", "userinfo"),
        (f"https://@hist.gex.bot/{NAME}", "userinfo"),
        (f"https://hist.gex.bot@evil.test/{NAME}", "userinfo"),
        (f"https://hist.gex.bot\\@evil.test/{NAME}", "backslashes"),
        (f"https://hist.gex.bot/a b/{NAME}", "blanks"),
        (f"https://hist.gex.bot/{NAME}\n", "blanks"),
        (f"https://hist.gex.bot/{NAME}\t?x", "blanks"),
        (f'https://hist.gex.bot/{NAME}?sig=a"b', "no URL has"),
        (f"https://hist.gex.bot/{NAME}?sig=a<b", "no URL has"),
        (f"https://hist.gex.bot/{NAME}?sig=a\u00a0b", "no URL has"),
        (f"ftp://hist.gex.bot/{NAME}", "scheme is 'ftp'"),
        ("javascript:alert(1)", "scheme is 'javascript'"),
        (f"//hist.gex.bot/{NAME}", "scheme is 'missing'"),
        (f"hist.gex.bot/{NAME}", "scheme is 'missing'"),
        ("", "scheme is 'missing'"),
        (f"http://127.0.0.1:9001/{NAME}", "is not allowed"),
        (f"http://localhost:9000/{NAME}", "is not allowed"),
        (f"http://[::1]:9001/{NAME}", "is not allowed"),
        (f"file:///etc/{NAME}", "outside the allowed folders: /srv/history, /mnt/more"),
        (f"file:///srv/history2/{NAME}", "outside"),
        (f"file:///srv/history/../{NAME}", "climbs"),
        (f"file:///srv/history/%2e%2e/{NAME}", "climbs"),
        ("file:///srv/history", "outside"),
        (f"file://evil.test/srv/history/{NAME}", "outside"),
        (f"file:srv/history/{NAME}", "outside"),
    ],
)
def test_any_other_url_is_refused_by_a_rule_that_is_told(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule.replace("[", r"\[")):
        GATE.check(url)


@given(
    st.from_regex(r"[A-Za-z0-9]{12,40}", fullmatch=True), st.sampled_from(["ftp", "http", "https", "file"])
)
def test_a_refusal_tells_no_secret(secret: str, scheme: str) -> None:
    for url in (
        f"{scheme}://evil.test/f.json?sig={secret}",
        f"{scheme}://me:{secret}@evil.test/f.json",
        f"{scheme}://evil.test/../f.json?sig={secret}",
        f"{scheme}://evil.test:x/f.json?sig={secret}",
        f"{scheme}://evil.test/a b?sig={secret}",
    ):
        with pytest.raises(ValueError, match="URL") as refusal:
            GATE.check(url)
        assert secret not in str(refusal.value)


def test_without_local_folders_no_file_url_passes() -> None:
    with pytest.raises(ValueError, match="GEXLAKE_LOCAL_SOURCE_DIRS is empty"):
        SourceGate.parse(("https://hist.gex.bot/",)).check(f"file:///srv/{NAME}")


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("http://hist.gex.bot/", "plain http"),
        ("http://127.0.0.1.evil.test/", "plain http"),
        ("http://10.0.0.1/", "plain http"),
        ("ftp://hist.gex.bot/", "not the start"),
        ("hist.gex.bot", "not the start"),
        ("https:///x", "not the start"),
        ("", "not the start"),
        ("https://user@hist.gex.bot/", "no user"),
        ("https://hist.gex.bot/?a=b", "no user, query"),
        ("https://hist.gex.bot/#a", "fragment"),
        ("https://hist.gex.bot:port/", "[Pp]ort"),
    ],
)
def test_a_prefix_must_be_https_or_on_the_loopback(prefix: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Prefix.parse(prefix)


@pytest.mark.parametrize(
    ("prefix", "shown"),
    [
        ("https://hist.gex.bot", "https://hist.gex.bot/"),
        ("HTTPS://Hist.Gex.Bot:443/a/", "https://hist.gex.bot/a/"),
        ("http://localhost:8000", "http://localhost:8000/"),
        ("http://127.0.0.2/", "http://127.0.0.2/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_a_prefix_is_shown_in_its_plain_form(prefix: str, shown: str) -> None:
    assert str(Prefix.parse(prefix)) == shown
    assert str(Prefix.parse(shown)) == shown


def test_a_local_folder_must_be_absolute() -> None:
    with pytest.raises(ValueError, match="'history' is not an absolute folder"):
        SourceGate.parse((), ("/srv", "history"))
