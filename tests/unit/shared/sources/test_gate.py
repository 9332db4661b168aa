"""The gate that every source URL passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources.gate import Prefix, SourceGate

GATE = SourceGate.parse(
    (
        "https://hist.gex.bot/",
        "https://blob.test/exports",
        "https://*.blob.core.test/",
        "http://127.0.0.1:9000/",
        "http://[::1]:9001/v",
    ),
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
        f"https://blob.test/exports/with%20blank/{NAME}",
        f"https://account1.blob.core.test/{NAME}?sv=1",
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
        (f"http://:[::1]:9001/v/{NAME}", "malformed"),
        (f"http://evil.test[::1]:9001/v/{NAME}", "malformed"),
        (f"http://[::1]evil.test:9001/v/{NAME}", "malformed"),
        (f"http://[::1]:9001:9001/v/{NAME}", "malformed"),
        (f"https://blob.test/exports2/{NAME}", "is not allowed"),
        (f"https://blob.test/{NAME}", "is not allowed"),
        (f"https://blob.test/exports/../{NAME}", "climbs"),
        (f"https://blob.test/exports/%2e%2e/{NAME}", "climbs"),
        (f"https://blob.test/exports/%2E./{NAME}", "climbs"),
        (f"https://blob.test/exports/..%2f{NAME}", "climbs"),
        (f"https://blob.test/exports/a%5cb/{NAME}", "hides a slash"),
        (f"https://blob.test/exports/%252e%252e/{NAME}", "climbs"),
        (f"https://blob.test/exports/%00/{NAME}", "climbs"),
        (f"https://blob.test/exports/./{NAME}", "climbs"),
        (f"https://blob.test/exports/..;/{NAME}", "climbs"),
        (f"https://blob.test/exports/%2e%2e;a=b/{NAME}", "climbs"),
        (f"https://blob.test/exports/%0d%0aHost:%20evil.test/{NAME}", "hides a slash"),
        (f"https://blob.test/exports/%7f/{NAME}", "hides a slash"),
        (f"https://blob.test/exports/%u002e%u002e/{NAME}", "hides a slash"),
        (f"https://blob.test/%65xports/{NAME}", "is not allowed"),
        (f"https://blob.core.test/{NAME}", "is not allowed"),
        (f"https://.blob.core.test/{NAME}", "is not allowed"),
        (f"https://a.b.blob.core.test/{NAME}", "is not allowed"),
        (f"https://*.blob.core.test/{NAME}", "is not allowed"),
        (f"https://-a.blob.core.test/{NAME}", "is not allowed"),
        (f"https://evil.test%2f.blob.core.test/{NAME}", "is not allowed"),
        (f"https://xn--ccount1-2fg.blob.core.test/{NAME}", "is not allowed"),
        (f"https://a.blob.core.test:8443/{NAME}", "is not allowed"),
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
        (f"//hist.gex.bot/{NAME}", "has no scheme"),
        (f"hist.gex.bot/{NAME}", "has no scheme"),
        ("", "has no scheme"),
        (f"/srv/history/{NAME}", "a local file is file:// and its path"),
        (f"http://127.0.0.1:9001/{NAME}", "is not allowed"),
        (f"http://localhost:9000/{NAME}", "is not allowed"),
        (f"http://[::1]:9001/{NAME}", "is not allowed"),
        (f"file:///etc/{NAME}", "outside the allowed folders: /srv/history, /mnt/more"),
        (f"file:///srv/history2/{NAME}", "outside"),
        (f"file:///srv/history/../{NAME}", "climbs"),
        (f"file:///srv/history/%2e%2e/{NAME}", "climbs"),
        ("file:///srv/history", "outside"),
        (f"file:///etc/{NAME}", "start gexlake with the file's folder in GEXLAKE_LOCAL_SOURCE_DIRS"),
        (f"file://evil.test/srv/history/{NAME}", "with three slashes"),
        (f"file:srv/history/{NAME}", "with three slashes"),
    ],
)
def test_any_other_url_is_refused_and_the_rule_is_named(url: str, rule: str) -> None:
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
        ("http://evil.test[::1]/", "malformed"),
        ("https://hist.gex.bot/a/../b/", "climbs"),
        ("https://hist.gex.bot/a%2fb/", "hides a slash"),
        ("https://hist.g\u0435x.bot/", "write other alphabets as xn--"),
        ("https://10.0.0.1/", "a private address"),
        ("https://169.254.169.254/", "a metadata address"),
        ("https://[fd00::1]/", "a private address"),
        ("https://[::ffff:8.8.8.8]/", "an IPv4-mapped address"),
        ("http://[::ffff:127.0.0.1]/", "plain http"),
        ("http://0.0.0.0:8000/", "plain http"),
        ("https://0.0.0.0/", "an unspecified address"),
        ("https://127.1/", "neither a name nor an address"),
        ("https://2130706433/", "neither a name nor an address"),
        ("https://0x7f000001/", "neither a name nor an address"),
        ("https://0177.0.0.1/", "neither a name nor an address"),
        ("https://[fe80::1%25eth0]/", "neither a name nor an address"),
        ("https://hist_.gex.bot/", "neither a name nor an address"),
        ("https://hist..gex.bot/", "neither a name nor an address"),
        (f"https://{'a.' * 130}test/", "neither a name nor an address"),
        ("https://*/", "neither a name nor an address"),
        ("https://a.*.gex.bot/", "neither a name nor an address"),
        ("https://a*.gex.bot/", "neither a name nor an address"),
        ("https://*.*.gex.bot/", "neither a name nor an address"),
        ("https://*.0.0.1/", "neither a name nor an address"),
        ("https://*.bot/", "two labels at least"),
        ("http://*.localhost/", "plain http"),
    ],
)
def test_a_prefix_must_be_https_to_outside_or_on_the_loopback(prefix: str, rule: str) -> None:
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
        ("http://[0:0::0:1]/", "http://[::1]/"),
        ("https://hist.gex.bot./", "https://hist.gex.bot/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://*.Blob.core.test", "https://*.blob.core.test/"),
    ],
)
def test_a_prefix_is_shown_in_its_plain_form(prefix: str, shown: str) -> None:
    assert str(Prefix.parse(prefix)) == shown
    assert str(Prefix.parse(shown)) == shown


def test_a_local_folder_must_be_absolute() -> None:
    with pytest.raises(ValueError, match="'history' is not an absolute folder"):
        SourceGate.parse((), ("/srv", "history"))


@pytest.mark.parametrize(
    ("host", "port", "listed"),
    [
        ("hist.gex.bot", 443, True),
        ("a.blob.core.test", 443, True),
        ("127.0.0.1", 9000, True),
        ("::1", 9001, True),
        ("hist.gex.bot", 80, False),
        ("evil.test", 443, False),
        ("127.0.0.1", 9001, False),
        ("", 443, False),
    ],
)
def test_the_gate_knows_hosts_and_ports_of_its_sources(host: str, port: int, listed: bool) -> None:
    assert GATE.lists(host, port) is listed


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ("https://hist.gex.bot/a", f"https://blob.test/exports/{NAME}?sv=1"),
        ("https://hist.gex.bot/a", f"https://hist.gex.bot/{NAME}"),
        ("http://127.0.0.1:9000/a", f"http://127.0.0.1:9000/{NAME}"),
        ("http://127.0.0.1:9000/a", f"http://[::1]:9001/v/{NAME}"),
        ("http://127.0.0.1:9000/a", f"https://hist.gex.bot/{NAME}"),
    ],
)
def test_a_redirect_between_allowed_sources_passes(start: str, target: str) -> None:
    assert GATE.follow(start, target) == target


@pytest.mark.parametrize(
    ("start", "target", "rule"),
    [
        ("https://hist.gex.bot/a", f"http://127.0.0.1:9000/{NAME}", "plain http after https"),
        ("https://hist.gex.bot/a", f"file:///srv/history/{NAME}", "local file"),
        ("http://127.0.0.1:9000/a", f"file:///srv/history/{NAME}", "local file"),
        ("https://hist.gex.bot/a", f"http://hist.gex.bot/{NAME}", "is not allowed"),
        ("https://hist.gex.bot/a", f"https://evil.test/{NAME}", "is not allowed"),
        ("https://hist.gex.bot/a", f"//evil.test/{NAME}", "is not allowed"),
        ("https://hist.gex.bot/a", f"http://[secret@::1]/{NAME}", "^the URL cannot be read"),
    ],
)
def test_a_redirect_never_leads_to_less_or_inward(start: str, target: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        GATE.follow(start, target)


def test_a_redirect_from_outside_never_leads_to_this_machine_though_it_is_listed() -> None:
    gate = SourceGate.parse(("https://hist.gex.bot/", "https://localhost:9443/"))
    with pytest.raises(ValueError, match="from outside to this machine"):
        gate.follow("https://hist.gex.bot/a", f"https://localhost:9443/{NAME}")
    gate.follow("https://localhost:9443/a", f"https://localhost:9443/{NAME}")
