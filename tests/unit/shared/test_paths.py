"""The layout of the data folder."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta, timezone
from functools import partial as bound
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.partition import ENDPOINTS, Partition
from shared.paths import LakePaths, is_partial, name_with_job_id, partial_path

PATHS = LakePaths.under(Path("/lake"))
NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
tickers = st.from_regex(r"[A-Z0-9^][A-Z0-9_^-]{0,20}", fullmatch=True)
partitions = st.builds(
    Partition, tickers, st.sampled_from(ENDPOINTS), st.dates(date(1990, 1, 1), date(2090, 12, 31))
)
evil = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "\0", "%2f", "a", "NQ", "gex_zero", " ", "~", "C:"]), max_size=6
).map("".join) | st.text(max_size=12)


def test_the_layout_is_that_of_the_design() -> None:
    partition = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
    assert PATHS.database == Path("/lake/gex_data.db")
    assert PATHS.staged("NQ_NDX", "gex_zero", NAME) == Path("/lake/source/gexbot/NQ_NDX/gex_zero") / NAME
    assert PATHS.parquet(partition) == Path("/lake/parquet/gexbot/NQ_NDX/gex_zero/20251114.strikes.parquet")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("gex_full", "20251114.strikes.parquet"),
        ("state_gex_full", "20251114.state_strikes.parquet"),
        ("state_delta_one", "20251114.state_contracts.parquet"),
        ("orderflow", "20251114.orderflow.parquet"),
    ],
)
def test_a_parquet_file_is_named_after_its_kind(endpoint: str, name: str) -> None:
    path = PATHS.parquet(Partition("SPX", endpoint, date(2025, 11, 14)))
    assert path == Path("/lake/parquet/gexbot/SPX") / endpoint / name


def test_the_bars_of_a_trading_day_have_a_file_by_its_date() -> None:
    path = PATHS.bars(date(2025, 11, 14))
    assert path == Path("/lake/parquet/ohlcv_1m/2025/20251114.bars.parquet")
    assert PATHS.bars_day_of(path) == date(2025, 11, 14)
    for name in ("2024/20251114.bars.parquet", "2025/20251114.strikes.parquet", "2025/x.bars.parquet"):
        assert PATHS.bars_day_of(PATHS.bars_root / name) is None


def test_a_flat_file_is_staged_under_the_vendors_name_and_its_bars_are_below_the_parquet_folder() -> None:
    relative = "us_stocks_sip/ohlcv_1m/2025-11-14.csv.gz"
    staged = PATHS.staged(*relative.split("/"))
    assert staged == Path("/lake/source/massive") / relative
    assert PATHS.relative_to_staging(staged) == relative
    assert PATHS.staged_from_relative(relative) == staged
    job_id = UUID("5b0cf1b6-6e0c-5bd6-9d35-3cf2f5a4f0d2")
    assert name_with_job_id(staged.name, job_id) == "2025-11-14~5b0cf1b66e0c.csv.gz"
    assert PATHS.relative_to_parquet(PATHS.bars(date(2025, 11, 14))) == "ohlcv_1m/2025/20251114.bars.parquet"


def test_the_webhooks_of_an_hour_have_a_file_by_its_time_in_utc() -> None:
    hour = datetime(2025, 11, 14, 23, tzinfo=timezone(timedelta(hours=-5)))
    path = PATHS.webhooks("universal_webhooks", hour)
    assert path == Path("/lake/parquet/webhooks/20251115/04.universal_webhooks.parquet")
    assert PATHS.webhooks_of(path) == ("universal_webhooks", hour)


@pytest.mark.parametrize(
    "name",
    ["20251114/24.a.parquet", "20251114/4.a.parquet", "2025111/04.a.parquet", "20251114/04.a.part", "a"],
)
def test_other_paths_are_of_no_hour(name: str) -> None:
    assert PATHS.webhooks_of(PATHS.webhooks_root / name) is None


def test_option_chains_have_a_file_by_symbol_and_day() -> None:
    day = date(2025, 11, 14)
    of_day, of_one = PATHS.chains("^spx", day), PATHS.chains("SPX", day, 1_763_132_400_000)
    assert of_day == Path("/lake/gex/^SPX/20251114/snapshots.parquet")
    assert of_one == Path("/lake/gex/SPX/20251114/snapshot_1763132400000.parquet")
    assert PATHS.chains_of(of_day) == ("^SPX", day, None)
    assert PATHS.chains_of(of_one) == ("SPX", day, 1_763_132_400_000)


@pytest.mark.parametrize(
    "name",
    [
        "spx/20251114/snapshots.parquet",
        "SPX/2025-11-14/snapshots.parquet",
        "SPX/20251114/snapshot_.parquet",
        "SPX/20251114/snapshot_+1.parquet",
        "SPX/20251114/snapshot_01.parquet",
        "SPX/20251114/.snapshots.parquet.live.part",
        "../20251114/snapshots.parquet",
    ],
)
def test_other_paths_have_no_option_chains(name: str) -> None:
    assert PATHS.chains_of(PATHS.chains_root / name) is None


@given(evil)
def test_no_symbol_leaves_the_folder_of_option_chains(symbol: str) -> None:
    try:
        path = PATHS.chains(symbol, date(2025, 11, 14))
    except ValueError:
        return
    assert path.relative_to(PATHS.chains_root).parts[1:] == ("20251114", "snapshots.parquet")


def test_staging_and_parquet_may_have_folders_of_their_own() -> None:
    paths = LakePaths.under(Path("data"), staging=Path("/staged"), parquet=Path("/columns"))
    assert paths.database == Path.cwd() / "data/gex_data.db"
    assert paths.staging_folders == (Path("/staged/gexbot"), Path("/staged/massive"))
    assert paths.parquet_root == Path("/columns/gexbot")


@given(tickers, st.sampled_from(ENDPOINTS))
def test_a_staged_path_round_trips_through_its_relative_form(ticker: str, endpoint: str) -> None:
    path = PATHS.staged(ticker, endpoint, NAME)
    assert PATHS.staged_from_relative(PATHS.relative_to_staging(path)) == path


@given(evil, evil, evil)
def test_no_name_leaves_the_staging_folder(ticker: str, endpoint: str, name: str) -> None:
    for build in (
        bound(PATHS.staged, ticker, endpoint, name),
        bound(PATHS.staged, "NQ", "gex_zero", name),
        bound(PATHS.staged_from_relative, f"NQ/gex_zero/{name}"),
        bound(PATHS.staged_from_relative, name),
    ):
        try:
            path = build()
        except ValueError:
            continue
        assert Path(os.path.normpath(path)) == path
        assert path.relative_to(PATHS.staging_root).parts[3:] == (path.name,)


@given(evil, evil)
def test_no_partition_leaves_the_parquet_folder(ticker: str, endpoint: str) -> None:
    try:
        path = PATHS.parquet(Partition(ticker, endpoint, date(2025, 11, 14)))
    except ValueError:
        return
    assert len(path.relative_to(PATHS.parquet_root).parts) == 3


@pytest.mark.parametrize(
    "relative", ["", "x", "NQ/gex_zero", "NQ/gex_zero/", "NQ/gex_zero/a/b", "/etc/passwd/x"]
)
def test_a_relative_path_that_is_no_staged_file_is_refused(relative: str) -> None:
    with pytest.raises(ValueError, match=r"expected the (staged path|name of a file)"):
        PATHS.staged_from_relative(relative)


def test_a_partial_file_is_hidden_beside_its_file_and_recognised() -> None:
    path = PATHS.staged("NQ", "gex_zero", NAME)
    assert partial_path(path, "worker1") == path.parent / f".{NAME}.worker1.part"
    assert is_partial(partial_path(path, "worker1"))
    assert not is_partial(path)
    assert not is_partial(path.with_name("x.part"))
