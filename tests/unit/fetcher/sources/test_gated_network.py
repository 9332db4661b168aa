"""Connections lead to the addresses that were checked, and a source stays who it is."""

from __future__ import annotations

import asyncio
import socket
from typing import NoReturn

import httpcore
import pytest

from services.fetcher.errors import SourceRefused, SourceUnavailable
from services.fetcher.sources.gated_network import MAX_TRIED, GatedBackend, resolve
from services.fetcher.sources.http import new_client
from shared.sources.addresses import Address
from shared.sources.gate import SourceGate
from tests.support.fetcher.wire import A_FILE, OUTSIDE, Names, Wire, fetch, redirect

GATE = SourceGate.parse(
    ("https://hist.gex.bot/", "https://*.blob.test/", "http://127.0.0.1:9000/", "http://localhost:9001/")
)
URL = "https://hist.gex.bot/day.json?sig=secret"
V6 = "2a00:1450:4001::1"


async def test_the_connection_leads_to_the_address_and_the_name_goes_with_it() -> None:
    wire = Wire()
    assert await fetch(URL, GATE, Names([OUTSIDE]), wire) == b"[]"
    assert wire.asked == [(OUTSIDE, 443)]
    assert wire.server_names == ["hist.gex.bot"]
    assert b"\r\nHost: hist.gex.bot\r\n" in wire.sent[0]


async def test_a_name_is_resolved_once_for_a_connection() -> None:
    names, wire = Names([OUTSIDE], ["127.0.0.1"]), Wire()
    assert await fetch(URL, GATE, names, wire) == b"[]"
    assert names.asked == ["hist.gex.bot"]
    assert wire.asked == [(OUTSIDE, 443)]


async def test_an_answer_that_changed_between_two_connections_is_refused() -> None:
    names, wire = Names([OUTSIDE], ["127.0.0.1"]), Wire(redirect("/again.json"), A_FILE)
    with pytest.raises(SourceRefused, match="resolves to a loopback address"):
        await fetch(URL, GATE, names, wire)
    assert names.asked == ["hist.gex.bot", "hist.gex.bot"]
    assert wire.asked == [(OUTSIDE, 443)]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["0.0.0.0"],
        ["10.1.2.3"],
        ["100.64.0.1"],
        ["169.254.169.254"],
        ["168.63.129.16"],
        ["172.20.0.1"],
        ["192.168.0.10"],
        ["198.18.0.1"],
        ["203.0.113.7"],
        ["224.0.0.251"],
        ["255.255.255.255"],
        ["::"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:8.8.8.8"],
        ["::7f00:1"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:a00:1::"],
        ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
        ["fd00:ec2::254"],
        ["fe80::1%1"],
        ["ff02::1"],
        [OUTSIDE, "10.0.0.1"],
        [V6, OUTSIDE, "::1"],
    ],
    ids=", ".join,
)
async def test_a_name_with_one_address_inside_is_refused_and_nothing_is_connected(answer: list[str]) -> None:
    wire = Wire()
    with pytest.raises(SourceRefused, match=r"hist\.gex\.bot resolves to an? ") as refused:
        await fetch(URL, GATE, Names(answer), wire)
    assert wire.asked == []
    assert "secret" not in str(refused.value)


async def test_a_loopback_source_must_be_on_this_machine() -> None:
    wire = Wire()
    assert await fetch("http://localhost:9001/day.json", GATE, Names(["::1", "127.0.0.1"]), wire) == b"[]"
    assert wire.asked == [("::1", 9001)]
    with pytest.raises(SourceRefused, match="not this machine's"):
        await fetch("http://localhost:9001/day.json", GATE, Names(["127.0.0.1", OUTSIDE]), Wire())


async def test_an_address_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("an address was resolved")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        backend = GatedBackend(SourceGate.parse((f"http://127.0.0.1:{port}/",)))
        stream = await backend.connect_tcp("127.0.0.1", port, timeout=5)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        await stream.aclose()


async def test_the_operating_system_knows_this_machine() -> None:
    assert all(address.is_loopback for address in await resolve("localhost", 80))


@pytest.mark.parametrize(("host", "port"), [("evil.test", 443), ("hist.gex.bot", 80), ("127.0.0.1", 9001)])
async def test_a_host_or_port_that_is_not_listed_is_never_resolved(host: str, port: int) -> None:
    """Whatever the check of the URL made of it: this is a second one, of the host as httpx reads it."""
    names, wire = Names([OUTSIDE]), Wire()
    with pytest.raises(SourceRefused, match="is not an allowed source"):
        await GatedBackend(GATE, names, wire).connect_tcp(host, port)
    assert (names.asked, wire.asked) == ([], [])


async def test_the_next_address_is_tried_and_families_take_turns() -> None:
    wire = Wire(unreachable=[V6, OUTSIDE])
    names = Names([V6, "2a00:1450:4001::2", OUTSIDE, "9.9.9.9", V6])
    assert await fetch(URL, GATE, names, wire) == b"[]"
    assert [address for address, _ in wire.asked] == [V6, OUTSIDE, "2a00:1450:4001::2"]


async def test_a_host_with_many_dead_addresses_counts_as_unreachable_soon() -> None:
    dead = [f"9.9.9.{number}" for number in range(20)]
    wire = Wire(unreachable=dead)
    with pytest.raises(SourceUnavailable, match="could not be reached"):
        await fetch(URL, GATE, Names(dead), wire)
    assert len(wire.asked) == MAX_TRIED


async def test_a_name_without_addresses_is_a_passing_trouble() -> None:
    with pytest.raises(SourceUnavailable, match=r"hist\.gex\.bot has no address"):
        await fetch(URL, GATE, Names([]), Wire())


async def test_a_name_that_is_unknown_is_a_passing_trouble() -> None:
    async def unknown(host: str, port: int) -> list[Address]:
        raise socket.gaierror(-2, f"{host} at {port} is not known")

    with pytest.raises(httpcore.ConnectError, match="is not known"):
        await GatedBackend(GATE, unknown, Wire()).connect_tcp("hist.gex.bot", 443)


async def test_resolving_ends_with_the_time_for_connecting() -> None:
    async def forever(host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        raise AssertionError(host, port)

    with pytest.raises(httpcore.ConnectTimeout, match="not resolved in time"):
        await GatedBackend(GATE, forever, Wire()).connect_tcp("hist.gex.bot", 443, timeout=0.01)


async def test_a_redirect_gets_no_cookies_and_no_keys() -> None:
    wire = Wire(
        redirect("https://hist.gex.bot/b.json", "Set-Cookie: own=1; Path=/"),
        redirect("https://a.blob.test/c.json", "Set-Cookie: wide=1; Domain=.test; Path=/"),
        A_FILE,
    )
    assert await fetch(URL, GATE, Names([OUTSIDE]), wire) == b"[]"
    assert wire.server_names == ["hist.gex.bot", "hist.gex.bot", "a.blob.test"]
    for sent in wire.sent:
        assert b"cookie" not in sent.lower()
        assert b"authorization" not in sent.lower()
    assert b"secret" not in wire.sent[1] + wire.sent[2]


async def test_a_client_with_a_key_reaches_the_one_host_of_its_gate_and_follows_nothing() -> None:
    """So the vendor's API is asked: the key cannot go elsewhere, whoever asks for it."""
    api, wire = SourceGate.parse(("https://api.gex.test/v2/",)), Wire(redirect("https://hist.gex.bot/a.json"))
    headers = {"Authorization": "Bearer key"}
    async with new_client(1, 1, GatedBackend(api, Names([OUTSIDE]), wire)) as client:
        answer = await client.get("https://api.gex.test/v2/hist", headers=headers, follow_redirects=True)
        assert answer.status_code == 302
        with pytest.raises(SourceRefused, match=r"hist\.gex\.bot at port 443 is not an allowed source"):
            await client.get("https://hist.gex.bot/a.json", headers=headers)
    assert wire.server_names == ["api.gex.test"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"])
async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:3128")
    wire = Wire()
    for url in (URL, "http://127.0.0.1:9000/day.json"):
        assert await fetch(url, GATE, Names([OUTSIDE]), wire) == b"[]"
    assert wire.asked == [(OUTSIDE, 443), ("127.0.0.1", 9000)]
