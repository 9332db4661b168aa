"""Fixtures: a store, a server on a free port, a connection; each fresh for its test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.bus.connection import Bus, connected
from shared.process.settings import Settings
from simulator.nats_server import NatsServer
from simulator.stack import is_setting


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's ``.env`` and environment out of the tests."""
    monkeypatch.chdir(tmp_path)
    for name in filter(is_setting, tuple(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> Settings:
    return Settings(nats_url=nats_server.url, data_dir=tmp_path / "data", retry_delay_s=0.05, ack_wait_s=5)


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    async with connected(settings, "test") as bus:
        yield bus
