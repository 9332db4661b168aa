"""The gate on real sockets: certificates, server names, redirects and proxies."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from services.fetcher.errors import SourceRefused, SourceUnavailable
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from shared.sources.gate import SourceGate
from simulator.vendor import Fault, Vendor
from tests.support.fetcher.wire import A_FILE, OUTSIDE, Names, Rerouted

NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
URL = f"https://hist.gex.bot/{NAME}?sig=secret"


@dataclass
class SecureSource:
    """A server outside, as far as the fetcher can tell: on this machine, and reached by any address."""

    port: int = 0
    server_names: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(A_FILE)
        writer.close()
        await writer.wait_closed()

    def note(self, _: ssl.SSLObject, name: str, __: ssl.SSLContext) -> None:
        self.server_names.append(name)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextlib.asynccontextmanager
async def serving(authority: trustme.CA, *identities: str) -> AsyncIterator[SecureSource]:
    """Serve with a certificate for ``identities``."""
    source, context = SecureSource(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*identities).configure_cert(context)
    context.sni_callback = source.note
    server = await asyncio.start_server(source.answer, "127.0.0.1", 0, ssl=context)
    async with server:
        source.port = server.sockets[0].getsockname()[1]
        yield source


async def fetch_securely(source: SecureSource, trust: ssl.SSLContext) -> tuple[bytes, Rerouted]:
    gate, network = SourceGate.parse(("https://hist.gex.bot/",)), Rerouted(source.port)
    async with (
        new_client(5, 5, GatedBackend(gate, Names([OUTSIDE]), network), trust) as client,
        HttpSource(client, gate).open(URL) as body,
    ):
        return b"".join([chunk async for chunk in body.chunks]), network


async def test_the_certificate_of_the_name_is_asked_for_at_the_checked_address(
    authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    async with serving(authority, "hist.gex.bot") as source:
        content, network = await fetch_securely(source, trust)
    assert content == b"[]"
    assert network.asked == [(OUTSIDE, 443)]
    assert source.server_names == ["hist.gex.bot"]
    assert b"\r\nHost: hist.gex.bot\r\n" in source.requests[0]


@pytest.mark.parametrize("identity", ["evil.test", OUTSIDE, "gex.bot"])
async def test_the_certificate_of_another_name_or_of_the_address_is_not_enough(
    authority: trustme.CA, trust: ssl.SSLContext, identity: str
) -> None:
    async with serving(authority, identity) as source:
        with pytest.raises(SourceUnavailable, match=r"not valid for 'hist\.gex\.bot'") as refused:
            await fetch_securely(source, trust)
    assert source.requests == []
    assert "secret" not in str(refused.value)


async def test_a_certificate_of_an_unknown_authority_is_not_enough(authority: trustme.CA) -> None:
    async with serving(authority, "hist.gex.bot") as source:
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch_securely(source, ssl.create_default_context())
    assert source.requests == []


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[tuple[Vendor, Vendor]]:
    """Yield a listed source, and a service beside it on this machine that nobody listed."""
    (tmp_path / NAME).write_bytes(b"[]")
    with Vendor(tmp_path) as listed, Vendor(tmp_path) as unlisted:
        yield listed, unlisted


async def fetch_from(vendor: Vendor) -> bytes:
    gate = SourceGate.parse((vendor.base_url,))
    async with (
        new_client(5, 5, GatedBackend(gate)) as client,
        HttpSource(client, gate).open(vendor.url_of(NAME)) as body,
    ):
        return b"".join([chunk async for chunk in body.chunks])


@pytest.mark.parametrize("way", ["{0}", "http://localhost:{1}/", "http://0.0.0.0:{1}/", "http://127.1:{1}/"])
async def test_a_source_cannot_lead_to_another_service_of_this_machine(
    vendors: tuple[Vendor, Vendor], way: str
) -> None:
    listed, unlisted = vendors
    port = unlisted.base_url.rpartition(":")[2].strip("/")
    target = way.format(unlisted.base_url, port) + NAME
    listed.inject_fault(NAME, Fault(redirect_to=target))
    with pytest.raises(SourceRefused, match="redirects to a URL that is not allowed"):
        await fetch_from(listed)
    assert (listed.requests.count(NAME), unlisted.requests.seen) == (1, [])


async def test_a_proxy_of_the_environment_hears_of_nothing(
    vendors: tuple[Vendor, Vendor], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, proxy = vendors
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.base_url)
        monkeypatch.setenv(name.lower(), proxy.base_url)
    assert await fetch_from(listed) == b"[]"
    assert proxy.requests.seen == []
