"""API keys, rate limits and intake's own settings."""

from __future__ import annotations

import sys

import pytest

from services.intake.__main__ import flags
from services.intake.errors import TooManyRequests
from services.intake.http import rate_limits
from services.intake.http.auth import client_name, public_name, valid_key
from services.intake.http.rate_limits import RateLimit
from services.intake.settings import IntakeSettings, fit_rate
from shared.errors import CannotStart
from shared.process.settings import load


@pytest.mark.parametrize(
    ("shown", "valid"),
    [
        (("two", None), "two"),
        ((None, "one"), "one"),
        (("wrong", "two"), "two"),
        (("wrong", "on"), None),
        (("ö", ""), None),
        ((None, None), None),
    ],
)
def test_any_of_the_keys_is_valid_by_either_header(shown: tuple[str | None, ...], valid: str | None) -> None:
    assert valid_key(shown, ("one", "two")) == valid


def test_clients_are_counted_by_key_or_else_by_address() -> None:
    assert client_name("k", "10.0.0.1") != client_name(None, "10.0.0.1")
    assert client_name("k", "10.0.0.1") == client_name("k", "10.0.0.2")
    assert client_name(None, "10.0.0.1") != client_name(None, "10.0.0.2")


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


def test_a_client_over_the_rate_gets_a_time_to_retry(clock: Clock) -> None:
    limit = RateLimit(fit_rate("2/minute"))
    limit.count("a")
    clock.now += 20
    limit.count("a")
    with pytest.raises(TooManyRequests, match="2/minute") as caught:
        limit.count("a")
    assert caught.value.headers == {"Retry-After": "40"}
    limit.count("b")
    clock.now += 41
    limit.count("a")


def test_several_rates_hold_together_and_a_refused_request_does_not_count(clock: Clock) -> None:
    limit = RateLimit(fit_rate("1/second;3/minute"))
    for _ in range(2):
        limit.count("a")
        with pytest.raises(TooManyRequests) as caught:
            limit.count("a")
        assert caught.value.headers == {"Retry-After": "1"}
        clock.now += 2
    limit.count("a")
    clock.now += 2
    for newcomer in ("b", "c"):
        with pytest.raises(TooManyRequests):
            limit.count("a")
        limit.count(newcomer)


def test_clients_without_recent_requests_are_forgotten(clock: Clock) -> None:
    limit = RateLimit(fit_rate("1/second;3/minute"))
    for number in range(3):
        limit.count(f"idle {number}")
    clock.now += 30
    limit.count("recent")
    clock.now += 31
    limit.count("new")
    assert set(limit._windows) == {"recent", "new"}


def test_a_bare_number_is_per_minute() -> None:
    assert fit_rate(" 30 ") == "30/minute"


@pytest.mark.parametrize("rate", ["many", "0", "0/second", "-1", "5/fortnight"])
def test_a_malformed_rate_stops_the_start_and_names_the_setting(
    rate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATE_LIMIT_HISTORY", rate)
    with pytest.raises(CannotStart, match="RATE_LIMIT_HISTORY is unusable"):
        load(IntakeSettings)


def test_by_default_the_loopback_is_served_and_no_web_page() -> None:
    settings = load(IntakeSettings)
    assert (settings.host, settings.port, settings.cors_origins) == ("127.0.0.1", 8877, ())
    assert (settings.rate_limit_history, settings.api_keys) == ("600/minute", ())


def test_old_names_are_aliases_and_new_ones_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("GEXLAKE_PORT", "9001")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.test,https://b.test")
    monkeypatch.setenv("RATE_LIMIT_HISTORY", "7")
    monkeypatch.setenv("GEXLAKE_API_KEYS", "one, S3CRET")
    settings = load(IntakeSettings)
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)
    assert settings.cors_origins == ("https://a.test", "https://b.test")
    assert (settings.rate_limit_history, settings.api_keys) == ("7/minute", ("one", "S3CRET"))
    assert "S3CRET" not in repr(settings)


def test_flags_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEXLAKE_PORT", "9001")
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setattr(
        sys, "argv", ["intake", "--port", "9002", "--host", "::1", "--timeout-keep-alive", "9"]
    )
    settings = load(IntakeSettings, **flags())
    assert (settings.host, settings.port, settings.timeout_keep_alive) == ("::1", 9002, 9)


@pytest.mark.parametrize(
    ("argv", "setting"), [(["--port", "0"], "PORT"), (["--ssl-certfile", "/none"], "SSL_CERTFILE")]
)
def test_an_unusable_flag_stops_the_start(
    argv: list[str], setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["intake", *argv])
    with pytest.raises(CannotStart, match=setting):
        load(IntakeSettings, **flags())


def test_a_client_is_shown_without_its_key() -> None:
    assert public_name(client_name("abc", "10.0.0.1")) == "key:ba7816bf"
    assert public_name(client_name(None, "10.0.0.1")) == "address:10.0.0.1"
