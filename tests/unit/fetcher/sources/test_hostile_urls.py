"""Hostile URLs and redirects, asked for as the fetcher asks: nothing inside is ever connected to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher.errors import SourceRefused, UnusableAnswer
from shared.errors import GexlakeError
from shared.sources.gate import SourceGate
from tests.support.examples import examples
from tests.support.fetcher.wire import A_FILE, OUTSIDE, Names, Wire, fetch, redirect

GATE: Final = SourceGate.parse(
    (
        "https://hist.gex.bot/",
        "https://data.gex.test:8443/exports/",
        "https://*.blob.test/",
        "http://127.0.0.1:9000/",
        "http://[::1]:9001/",
    )
)
INSIDE: Final = "169.254.169.254"
START: Final = "https://hist.gex.bot/a/day.json?sig=secret"
ADDRESSES: Final = (
    "http://127.0.0.1/x.json",
    "http://127.0.0.1:22/x.json",
    "http://127.0.0.2:9000/x.json",
    "https://127.0.0.1:9000/x.json",
    "http://localhost:9000/x.json",
    "http://LOCALHOST:9000/x.json",
    "http://2130706433:9000/x.json",
    "http://017700000001:9000/x.json",
    "http://0x7f000001:9000/x.json",
    "http://0x7f.0x0.0x0.0x1:9000/x.json",
    "http://0177.0.0.1:9000/x.json",
    "http://127.1:9000/x.json",
    "http://127.0.1:9000/x.json",
    "http://127.0.0.1.:9000/x.json",
    "http://127.00.00.01:9000/x.json",
    "http://0:9000/x.json",
    "http://0.0.0.0:9000/x.json",
    "https://10.0.0.1/x.json",
    "https://192.168.1.1/x.json",
    "https://100.100.100.200/x.json",
    "https://168.63.129.16/x.json",
    "https://169.254.169.254/latest/x.json",
    "https://2852039166/latest/x.json",
    "https://0xa9fea9fe/latest/x.json",
    "https://0251.0376.0251.0376/latest/x.json",
    "https://169.254.43518/latest/x.json",
    "http://[::]:9000/x.json",
    "http://[::1]:9000/x.json",
    "http://[::1%25lo]:9001/x.json",
    "http://:[::1]:9001/x.json",
    "http://evil.test[::1]:9001/x.json",
    "http://[::1]evil.test:9001/x.json",
    "http://[0:0:0:0:0:0:0:1]:9001/x.json",
    "http://[::127.0.0.1]:9000/x.json",
    "http://[::ffff:127.0.0.1]:9000/x.json",
    "http://[::ffff:7f00:1]:9000/x.json",
    "http://[0000:0000:0000:0000:0000:ffff:7f00:0001]:9000/x.json",
    "https://[::ffff:a9fe:a9fe]/latest/x.json",
    "https://[64:ff9b::a9fe:a9fe]/latest/x.json",
    "https://[2002:a9fe:a9fe::]/latest/x.json",
    "https://[2001:0:4136:e378:8000:63bf:5601:5601]/x.json",
    "https://[fd00:ec2::254]/latest/x.json",
    "https://[fe80::1%25eth0]/x.json",
)
USERINFO: Final = (
    "https://hist.gex.bot@169.254.169.254/x.json",
    "https://hist.gex.bot:443@169.254.169.254/x.json",
    "https://hist.gex.bot%40169.254.169.254/x.json",
    "https://169.254.169.254@hist.gex.bot/x.json",
    "https://user:pass@hist.gex.bot/x.json",
    "https://hist.gex.bot:@169.254.169.254/x.json",
    "https://169.254.169.254#@hist.gex.bot/x.json",
    "https://169.254.169.254?@hist.gex.bot/x.json",
    "https://169.254.169.254;@hist.gex.bot/x.json",
    "https://169.254.169.254\\@hist.gex.bot/x.json",
    "https://hist.gex.bot\\.evil.test/x.json",
    "https:\\\\169.254.169.254\\x.json",
)
NAMES: Final = (
    "https://evil.test/x.json",
    "https://hist.gex.bot.evil.test/x.json",
    "https://evil.test/https://hist.gex.bot/x.json",
    "https://hist.gex.bot./x.json",
    "https://hist.gex.bot%2eevil.test/x.json",
    "https://hist%2egex%2ebot/x.json",
    "https://hist.gex.bot%00.evil.test/x.json",
    "https://hist.gex.bot%0a.evil.test/x.json",
    "https://xn--hst-rla.gex.bot/x.json",
    "https://hist.xn--gx-hlc.bot/x.json",
    "https://xn--blob-5ve.blob.test/x.json",
    "https://a.b.blob.test/x.json",
    "https://blob.test/x.json",
    "https://.blob.test/x.json",
    "https://169.254.169.254.blob.test/x.json",
    "https://hist.gex.bot:22/x.json",
    "https://hist.gex.bot:80/x.json",
    "https://hist.gex.bot:6379/x.json",
    "https://hist.gex.bot:-1/x.json",
    "https://hist.gex.bot:443:443/x.json",
    "https://data.gex.test/exports/x.json",
)
PATHS: Final = (
    "https://data.gex.test:8443/x.json",
    "https://data.gex.test:8443/exports/../admin/x.json",
    "https://data.gex.test:8443/exports/./x.json",
    "https://data.gex.test:8443/exports/%2e%2e/admin/x.json",
    "https://data.gex.test:8443/exports/.%2e/admin/x.json",
    "https://data.gex.test:8443/exports/..%2fadmin/x.json",
    "https://data.gex.test:8443/exports/..%5cadmin/x.json",
    "https://data.gex.test:8443/exports/..;/admin/x.json",
    "https://data.gex.test:8443/exports/%252e%252e/admin/x.json",
    "https://data.gex.test:8443/exports/%c0%ae%c0%ae%2fadmin/x.json",
    "https://data.gex.test:8443/exports%2f../admin/x.json",
    "https://data.gex.test:8443/exports/%0d%0aX-Evil:%201/x.json",
    "https://data.gex.test:8443/exports/x%00.json",
)
SCHEMES: Final = (
    "http://hist.gex.bot/x.json",
    "http://hist.gex.bot:443/x.json",
    "ftp://hist.gex.bot/x.json",
    "gopher://127.0.0.1:6379/_x.json",
    "ws://127.0.0.1:9000/x.json",
    "dict://127.0.0.1:11211/x.json",
    "unix:///run/docker.sock/x.json",
    "file://169.254.169.254/etc/x.json",
    "file:///etc/x.json",
    "javascript:x.json",
    "data:application/json,[]",
)
UNFIT: Final = (
    " https://hist.gex.bot/x.json",
    "https://hist.gex.bot\t.evil.test/x.json",
    "https://hist.gex.bot\n/x.json",
    "https://hist.gex.bot\u3002evil.test/x.json",
    "https://h\u0131st.gex.bot/x.json",
    "https://hist.g\u0435x.bot/x.json",
    "https://\uff11\uff12\uff17.0.0.1:9000/x.json",
    "https://\u24d7ist.gex.bot/x.json",
    "https:///hist.gex.bot/x.json",
    "https:hist.gex.bot/x.json",
    "//hist.gex.bot/x.json",
    "hist.gex.bot/x.json",
    "",
)
HOSTILE: Final = (*ADDRESSES, *USERINFO, *NAMES, *PATHS, *SCHEMES)
LEADS: Final = (
    *HOSTILE,
    "//169.254.169.254/latest/x.json",
    "//hist.gex.bot@169.254.169.254/x.json",
    "//127.0.0.1:9000/x.json",
    "http://127.0.0.1:9000/x.json",
    "http://[::1]:9001/x.json",
    "///\\169.254.169.254/x.json",
    "/\\169.254.169.254/x.json",
    "\\\\169.254.169.254\\x.json",
    "/a/%2e%2e/x.json",
    "/..%2f..%2fx.json",
)
"""Redirects to allowed sources on this machine are hostile, too: they come from outside."""


@pytest.mark.parametrize("url", [*HOSTILE, *UNFIT])
async def test_a_hostile_url_is_refused_before_anything_is_resolved(url: str) -> None:
    names, wire = Names([INSIDE]), Wire()
    with pytest.raises(SourceRefused) as refused:
        await fetch(f"{url}?sig=secret" if url else url, GATE, names, wire)
    assert (names.asked, wire.asked) == ([], [])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("location", LEADS)
async def test_a_hostile_redirect_is_refused_before_anything_is_resolved(location: str) -> None:
    names, wire = Names([OUTSIDE], [INSIDE]), Wire(redirect(f"{location}?sig=other-secret"), A_FILE)
    with pytest.raises(SourceRefused, match="redirects to a URL that is not allowed") as refused:
        await fetch(START, GATE, names, wire)
    assert (names.asked, wire.asked) == (["hist.gex.bot"], [(OUTSIDE, 443)])
    assert "secret" not in str(refused.value)


async def test_the_second_redirect_passes_the_same_gate_as_the_first() -> None:
    wire = Wire(
        redirect("/b.json"), redirect("https://a.blob.test/c.json"), redirect("http://127.0.0.1:9000/")
    )
    with pytest.raises(SourceRefused, match="plain http after https"):
        await fetch(START, GATE, Names([OUTSIDE]), wire)
    assert wire.server_names == ["hist.gex.bot", "hist.gex.bot", "a.blob.test"]


async def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    hops = [redirect(f"/{number}.json") for number in range(4)]
    assert await fetch(START, GATE, Names([OUTSIDE]), Wire(*hops[:3], A_FILE)) == b"[]"
    wire = Wire(*hops, A_FILE)
    with pytest.raises(UnusableAnswer, match="redirects more than 3 times"):
        await fetch(START, GATE, Names([OUTSIDE]), wire)
    assert len(wire.asked) == 4


def _dotted(address: IPv4Address, form: Callable[[int], str]) -> str:
    return ".".join(form(byte) for byte in address.packed)


SPELLINGS: Final[tuple[Callable[[IPv4Address], str], ...]] = (
    str,
    lambda address: str(int(address)),
    lambda address: hex(int(address)),
    lambda address: f"0{int(address):o}",
    lambda address: _dotted(address, hex),
    lambda address: _dotted(address, lambda byte: f"0{byte:o}"),
    lambda address: f"{address.packed[0]}.{int(address) & 0xFFFFFF}",
    lambda address: f"{address.packed[0]}.{address.packed[1]}.{int(address) & 0xFFFF}",
    lambda address: f"{address}.",
    lambda address: f"[::ffff:{address}]",
    lambda address: f"[::{address}]",
    lambda address: f"[64:ff9b::{address}]",
    lambda address: f"[2002:{address.packed[:2].hex()}:{address.packed[2:].hex()}::1]",
)
LISTED: Final = (
    "hist.gex.bot",
    "data.gex.test:8443",
    "account1.blob.test",
    "127.0.0.1:9000",
    "[::1]:9001",
)
TRICKS: Final = (
    "@",
    ":",
    ".",
    "/",
    "\\",
    "#",
    "?",
    "%2e",
    "%2f",
    "%40",
    "%",
    "\t",
    ";",
    "&",
    "-",
    "0",
    "\u3002",
)
v4 = st.ip_addresses(v=4) | st.sampled_from(["127.0.0.1", INSIDE, "10.0.0.1", OUTSIDE]).map(IPv4Address)
v6 = st.ip_addresses(v=6) | st.sampled_from(["::1", "fd00:ec2::254", "::ffff:7f00:1"]).map(IPv6Address)
spelled = st.builds(lambda address, spell: spell(address), v4, st.sampled_from(SPELLINGS)) | v6.map(
    "[{}]".format
)
hosts = (
    st.sampled_from(LISTED) | spelled | st.builds("{}{}".format, spelled, st.sampled_from([":9000", ":443"]))
)
joined = st.lists(hosts | st.sampled_from(TRICKS), min_size=1, max_size=4).map("".join)
paths = st.lists(
    st.sampled_from(["/", "exports", "a", "..", ".", "//", *TRICKS, "x.json"]), min_size=1, max_size=6
).map("".join)
built = st.builds(
    "{}{}{}/{}{}".format,
    st.sampled_from(["https://", "http://", "https://", "HTTPS://", "https:", "//", "https:/", "ftp://"]),
    st.sampled_from(["", "", "", "user@", "hist.gex.bot@", "user:hist.gex.bot@"]),
    hosts | joined,
    st.sampled_from(["", "exports/", "exports/"]),
    paths | st.just("x.json"),
)
fit = st.builds(
    "{}/exports/{}/x.json?sig=a%2Fb&e=1".format,
    st.sampled_from([f"http{'' if host[0] in '1[' else 's'}://{host}" for host in LISTED]),
    st.sampled_from(["a", "a/b", "%20", "a;v=1", "~a"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a URL of the list, or nearly one: something put in, or in the place of a part, once or twice."""
    url = draw(fit)
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(url)))
        end = draw(st.just(start) | st.integers(start, len(url)))
        url = url[:start] + draw(st.sampled_from(TRICKS) | hosts | st.characters(codec="utf-8")) + url[end:]
    return url


urls = mutated() | built
answers = st.sampled_from([[OUTSIDE], ["2a00:1450:4001::1", OUTSIDE]]) | st.lists(
    (v4 | v6).map(str), min_size=1, max_size=3
)


def leads_inside(address: IPv4Address | IPv6Address) -> bool:
    """Judge an address without the table of the code: by what Python and the forms of RFCs say."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[-1]
        if str(address).startswith("64:ff9b::"):
            inner = IPv4Address(address.packed[-4:])
        if inner is not None:
            return leads_inside(inner)
    return not address.is_global or address.is_multicast or address.is_reserved


class SystemNames(Names):
    """DNS that reads numbers as the C library does, in all their spellings."""

    async def __call__(self, host: str, port: int) -> list[IPv4Address | IPv6Address]:
        with contextlib.suppress(OSError, UnicodeError):
            numeric = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
            return [ip_address(found[4][0]) for found in numeric]
        return await super().__call__(host, port)


def assert_nothing_inside_was_asked(wire: Wire) -> None:
    for text, port in wire.asked:
        is_listed = (text, port) in {("127.0.0.1", 9000), ("::1", 9001)}
        assert is_listed or not leads_inside(ip_address(text))
    for sent in wire.sent:
        host = sent.partition(b"\r\nHost: ")[2].partition(b"\r\n")[0].decode()
        assert host in LISTED or host.endswith(".blob.test")


@settings(max_examples=examples(400), deadline=None)
@given(urls, answers)
async def test_no_url_that_passes_the_gate_resolves_inside(url: str, addresses: list[str]) -> None:
    wire = Wire()
    with contextlib.suppress(GexlakeError):
        await fetch(url, GATE, SystemNames(addresses), wire)
    assert_nothing_inside_was_asked(wire)


@settings(max_examples=examples(400), deadline=None)
@given(
    urls | st.builds("/{}".format, paths),
    st.sampled_from([START, "http://127.0.0.1:9000/day.json"]),
    answers,
)
async def test_no_redirect_that_passes_the_gate_resolves_inside(
    location: str, start: str, addresses: list[str]
) -> None:
    wire = Wire(redirect(location), A_FILE)
    names = SystemNames([OUTSIDE], addresses)
    with contextlib.suppress(GexlakeError):
        await fetch(start, GATE, names, wire)
    assert_nothing_inside_was_asked(wire)
    inside = [asked for asked in wire.asked if leads_inside(ip_address(asked[0]))]
    assert start != START or inside == []


@settings(max_examples=examples(300), deadline=None)
@given(urls | st.builds("/{}".format, paths), st.sampled_from([START, "http://127.0.0.1:9000/day.json"]))
def test_what_the_gate_reads_is_what_httpx_asks(location: str, start: str) -> None:
    """One reader for the check and another for the request must not see different hosts."""
    try:
        target = GATE.follow(start, location)
    except ValueError:
        return
    url, parts = httpx.URL(target), urlsplit(target)
    assert (url.scheme, url.host, url.userinfo) == (parts.scheme, parts.hostname, b"")
    assert (url.port or {"https": 443, "http": 80}[url.scheme]) == (parts.port or 443)
    assert url.raw_path.decode().partition("?")[0].count("/") == parts.path.count("/")
