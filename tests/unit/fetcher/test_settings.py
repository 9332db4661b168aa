"""The fetcher's settings, and which source a URL goes to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.fetcher import wiring
from services.fetcher.errors import SourceRefused
from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import sources
from shared.errors import CannotStart
from shared.paths import LakePaths, partial_path
from shared.process.settings import load
from tests.support.poll import eventually


def test_the_defaults_are_those_that_are_documented() -> None:
    settings = load(FetcherSettings)
    assert (settings.fetch_slots, settings.max_file_bytes) == (4, 2 * 1024**3)
    assert (settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s) == (10, 60)
    assert (settings.fetch_min_bytes_per_s, settings.fetch_min_speed_window_s) == (10_240, 30)
    assert (settings.fetch_bytes_per_s, settings.fetch_retry_after_max_s) == (0, 300)
    assert (settings.vendor_api, settings.gexbot_api_key) == ("https://api.gex.bot/v2", None)
    assert settings.allowed_sources == (
        "https://hist.gex.bot/",
        "https://hist.gexbot.com/",
        "https://nfagexbotresearch.blob.core.windows.net/",
        "https://app.gexbot.com/hist/",
        "https://app.gexbot.com/chart/",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GEXLAKE_FETCH_SLOTS", "0"),
        ("GEXLAKE_MAX_FILE_BYTES", "much"),
        ("GEXLAKE_FETCH_READ_TIMEOUT_S", "-1"),
        ("GEXLAKE_FETCH_MIN_BYTES_PER_S", "-1"),
        ("GEXLAKE_FETCH_MIN_SPEED_WINDOW_S", "0"),
        ("GEXLAKE_FETCH_BYTES_PER_S", "fast"),
        ("GEXLAKE_FETCH_RETRY_AFTER_MAX_S", "-1"),
        ("GEXBOT_API_KEY", "two words"),
        ("GEXBOT_API_KEY", "kéy"),
        ("GEXLAKE_MASSIVE_S3_SECRET_KEY", "two words"),
        ("GEXLAKE_MASSIVE_CALLS_PER_MINUTE", "0"),
    ],
)
def test_an_unusable_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=name):
        load(FetcherSettings)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("gexbot_api_key", ("GEXBOT_API_KEY", "GEXLAKE_GEXBOT_API_KEY")),
        ("massive_api_key", ("POLYGON_API_KEY", "MASSIVE_API_KEY", "GEXLAKE_MASSIVE_API_KEY")),
        ("massive_s3_access_key", ("MASSIVE_S3_ACCESS_KEY", "GEXLAKE_MASSIVE_S3_ACCESS_KEY")),
        ("massive_s3_secret_key", ("MASSIVE_S3_SECRET_KEY", "GEXLAKE_MASSIVE_S3_SECRET_KEY")),
    ],
)
def test_a_key_is_read_from_each_of_its_names_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, field: str, names: tuple[str, ...]
) -> None:
    """Later names take precedence."""
    for name in names:
        monkeypatch.setenv(name, f"s3cret_{name}")
        settings = load(FetcherSettings)
        assert getattr(settings, field).get_secret_value() == f"s3cret_{name}"
        assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_calls_a_minute_have_the_first_systems_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(FetcherSettings).massive_calls_per_minute == 5
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", "100")
    assert load(FetcherSettings).massive_calls_per_minute == 100


def test_a_key_that_is_none_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEXBOT_API_KEY", "s3cret\nInjected: header")
    with pytest.raises(CannotStart) as refused:
        load(FetcherSettings)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["file", "FILE"])
async def test_a_file_url_goes_to_the_local_source_however_it_is_spelled(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "day.json").write_bytes(b"[]")
    settings = load(FetcherSettings, local_source_dirs=(str(tmp_path),))
    async with sources(settings) as source, source.open(f"{scheme}://{tmp_path}/day.json") as body:
        assert [chunk async for chunk in body.chunks] == [b"[]"]


async def test_any_other_url_goes_through_the_gate_to_the_web() -> None:
    async with sources(load(FetcherSettings)) as source:
        with pytest.raises(SourceRefused, match="not allowed"):
            async with source.open("https://elsewhere.test/day.json"):
                pass


@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
@pytest.mark.parametrize(
    "name", ["FETCH_READ_TIMEOUT_S", "FETCH_CONNECT_TIMEOUT_S", "SOURCE_PAUSE_S", "SOURCE_LONGEST_PAUSE_S"]
)
def test_a_time_that_no_moment_lies_behind_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """When the source is to be tried again is worked out from these."""
    monkeypatch.setenv(f"GEXLAKE_{name}", value)
    with pytest.raises(CannotStart, match=f"GEXLAKE_{name}"):
        load(FetcherSettings)


async def test_a_running_fetcher_sweeps_abandoned_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = LakePaths.under(tmp_path)
    dead = partial_path(paths.staged("SPX", "gex_one", "dead.json"), "0-1")
    dead.parent.mkdir(parents=True)
    dead.write_bytes(b"[")
    monkeypatch.setattr(wiring, "SWEEP_INTERVAL_S", 0.01)
    sweeping = asyncio.create_task(wiring.sweep_periodically(paths))
    await eventually(lambda: not dead.exists())
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
