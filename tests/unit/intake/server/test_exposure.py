"""Intake serves a network with API keys only, unless a setting says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from services.intake.server.exposure import check_exposure, is_loopback
from services.intake.settings import IntakeSettings
from shared.errors import CannotStart

OPEN = {"host": "0.0.0.0"}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="the defaults"),
        pytest.param({"host": "::1"}, id="the loopback of IPv6"),
        pytest.param({"host": "localhost"}, id="its name"),
        pytest.param({**OPEN, "api_keys": ("one",)}, id="keys"),
        pytest.param({**OPEN, "allow_network_without_keys": True}, id="a setting says so"),
        pytest.param({**OPEN, "published_host": "127.0.0.1"}, id="a container published on the loopback"),
    ],
)
def test_it_starts(settings: dict[str, Any]) -> None:
    check_exposure(IntakeSettings(**settings))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(OPEN, id="all addresses"),
        pytest.param({"host": "::"}, id="all addresses of IPv6"),
        pytest.param({"host": "192.0.2.7"}, id="one address"),
        pytest.param({**OPEN, "published_host": "0.0.0.0"}, id="a container published on all addresses"),
        pytest.param({"host": "127.0.0.1", "published_host": "192.0.2.7"}, id="published on one address"),
    ],
)
def test_without_keys_it_does_not_start(settings: dict[str, Any]) -> None:
    with pytest.raises(CannotStart, match=r"without API keys, on .* GEXLAKE_ALLOW_NETWORK_WITHOUT_KEYS"):
        check_exposure(IntakeSettings(**settings))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.2", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("::ffff:192.0.2.7", False),
    ],
)
def test_a_host_is_judged_by_its_addresses(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
