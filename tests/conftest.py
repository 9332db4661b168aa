"""Fixtures: a broker account or server of its own for each test, and a connection to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from shared.bus.connection import Bus, connected
from shared.process.settings import Settings
from simulator.nats_server import NatsServer
from simulator.stack import is_setting
from tests.support.broker import accounts
from tests.support.examples import examples
from tests.support.values import URL_KEY

hypothesis_settings.register_profile("of this run", max_examples=examples(100), deadline=None)
hypothesis_settings.load_profile("of this run")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run three workers on two cores: a third of the time they wait for processes, brokers and disks."""
    return (os.cpu_count() or 2) * 3 // 2


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's ``.env`` and environment out of the tests."""
    monkeypatch.chdir(tmp_path)
    for name in filter(is_setting, tuple(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GEXLAKE_URL_KEYS", URL_KEY)


@pytest.fixture(scope="session")
def broker_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    """URLs of empty accounts on the server that the tests of this process share."""
    with accounts(tmp_path_factory.mktemp("broker") / "nats") as urls:
        yield urls


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server for this test alone, to kill, stop or inspect."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(request: pytest.FixtureRequest) -> str:
    """URL of the test's own server if it uses ``nats_server``, else of an account on the shared one."""
    if "nats_server" in request.fixturenames:
        server: NatsServer = request.getfixturevalue("nats_server")
        return server.url
    urls: Iterator[str] = request.getfixturevalue("broker_accounts")
    return next(urls)


@pytest.fixture
def settings(nats_url: str, tmp_path: Path) -> Settings:
    return Settings(nats_url=nats_url, data_dir=tmp_path / "data", retry_delay_s=0.05, ack_wait_s=5)


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    async with connected(settings, "test") as bus:
        yield bus
