"""Which staged files the janitor removes, and which it keeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import FINISHED, Stage, Status
from services.janitor.adapters.staging_folder_os import StagingFolderOnDisk
from services.janitor.duties.prune_staged_files import PrunableFile, PruneConfig, PruneStagedFiles, plan
from services.janitor.errors import NotCaughtUp
from shared.job_states import JobState
from shared.massive.resources import BARS_ENDPOINT, WHOLE_MARKET, FlatFile, MassiveUrls
from shared.paths import LakePaths, name_with_job_id, partial_path
from tests.support.values import NOON, a_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
PATH = f"NQ_NDX/gex_zero/{NAME}"
CONFIG = PruneConfig(retention=timedelta(days=14), max_files=1000, interval_s=3600)
UNFINISHED = sorted(set(Status) - FINISHED)


def a_state(status: Status, *, staged_path: str | None = PATH, **job: Any) -> JobState:
    return JobState(
        job=a_job(**job),
        status=status,
        stage=Stage.IMPORT,
        created_at=NOON,
        updated_at=NOON,
        staged_path=staged_path,
    )


def a_file(days: float, path: str = PATH) -> PrunableFile:
    modified = NOW - timedelta(days=days)
    return PrunableFile(path, round(modified.timestamp() * 1e9), 10)


@pytest.mark.parametrize("status", sorted(FINISHED))
@pytest.mark.parametrize(("days", "goes"), [(0, False), (13.99, False), (14.01, True), (400, True)])
def test_the_file_of_a_finished_job_is_removed_after_its_retention(
    status: Status, days: float, goes: bool
) -> None:
    assert bool(plan([a_file(days)], [a_state(status)], NOW, CONFIG)) == goes


@pytest.mark.parametrize("status", UNFINISHED)
def test_the_file_of_an_unfinished_job_is_kept_whatever_its_age(status: Status) -> None:
    assert plan([a_file(400)], [a_state(status)], NOW, CONFIG) == ()


@pytest.mark.parametrize(("days", "goes"), [(14.01, False), (27.99, False), (28.01, True)])
def test_a_file_without_a_job_is_removed_after_twice_the_retention(days: float, goes: bool) -> None:
    other = a_state(Status.COMPLETED, staged_path=f"SPX/gex_zero/{NAME}", ticker="SPX")
    assert bool(plan([a_file(days)], [other], NOW, CONFIG)) == goes


@pytest.mark.parametrize(("days", "goes"), [(2.5, False), (13.9, False), (14.1, True)])
def test_a_short_retention_keeps_files_as_long_as_commands_live(days: float, goes: bool) -> None:
    config = PruneConfig(retention=timedelta(days=1), max_files=10, interval_s=1)
    assert bool(plan([a_file(days)], [], NOW, config)) == goes
    assert plan([a_file(days)], [a_state(Status.COMPLETED)], NOW, config)


def test_a_job_in_its_fetch_protects_the_name_it_will_write() -> None:
    fetching = a_state(Status.STARTED, staged_path=None)
    assert plan([a_file(400)], [fetching], NOW, CONFIG) == ()


def test_an_unfinished_job_of_another_url_protects_a_shared_name() -> None:
    done = a_state(Status.COMPLETED)
    again = a_state(Status.PENDING, staged_path=None, base_url=f"https://hist.gexbot.com/{NAME}")
    assert done.job.job_id != again.job.job_id
    assert plan([a_file(400)], [done, again], NOW, CONFIG) == ()


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_a_job_of_the_vendors_api_protects_the_name_its_file_will_have(ending: str) -> None:
    api = "https://api.gex.bot/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14"
    asking = a_state(Status.STARTED, staged_path=None, base_url=api)
    file = a_file(400, PATH.removesuffix(".json") + ending)
    assert plan([file], [a_state(Status.COMPLETED), asking], NOW, CONFIG) == ()


def test_a_job_protects_its_alternative_name_with_the_job_id() -> None:
    fetching = a_state(Status.STARTED, staged_path=None)
    beside = f"NQ_NDX/gex_zero/{name_with_job_id(NAME, fetching.job.job_id)}"
    assert plan([a_file(400, beside)], [fetching], NOW, CONFIG) == ()
    assert plan([a_file(400, beside)], [a_state(Status.COMPLETED)], NOW, CONFIG)


def test_a_round_is_bounded_and_removes_the_oldest_first() -> None:
    files = [a_file(days, f"NQ_NDX/gex_zero/{days}.json") for days in (31, 90, 40, 60)]
    config = PruneConfig(retention=timedelta(days=14), max_files=2, interval_s=1)
    assert [file.path for file in plan(files, [], NOW, config)] == [
        "NQ_NDX/gex_zero/90.json",
        "NQ_NDX/gex_zero/60.json",
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 100)), max_size=8),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(Status)), max_size=8),
    st.floats(0, 60),
)
def test_no_plan_removes_a_needed_or_young_file(
    files: list[tuple[str, float]], jobs: list[tuple[str, Status]], days: float
) -> None:
    config = PruneConfig(retention=timedelta(days=days), max_files=3, interval_s=1)
    states = [
        a_state(status, staged_path=f"NQ_NDX/gex_zero/{name}.json", base_url=f"https://h/{name}.json")
        for name, status in jobs
    ]
    due = plan([a_file(age, f"NQ_NDX/gex_zero/{name}.json") for name, age in files], states, NOW, config)
    needed = {state.staged_path for state in states if not state.is_finished}
    assert len(due) <= 3
    for file in due:
        assert file.path not in needed
        assert file.age(NOW) > config.retention


class FixedJobs:
    def __init__(self, *states: JobState) -> None:
        self.states = states

    async def as_of_now(self) -> Sequence[JobState]:
        return self.states


class UnreadJobs:
    async def as_of_now(self) -> Sequence[JobState]:
        raise NotCaughtUp(3, 9)


@pytest.fixture
def paths(tmp_path: Path) -> LakePaths:
    return LakePaths.under(tmp_path / "data")


def put(path: Path, days: float, text: str = "0123456789") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    age(path, days)
    return path


def age(path: Path, days: float) -> None:
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment), follow_symlinks=False)


def duty(paths: LakePaths, *states: JobState) -> PruneStagedFiles:
    return PruneStagedFiles(CONFIG, StagingFolderOnDisk(paths), FixedJobs(*states), lambda: NOW)


async def test_a_round_removes_old_files_and_nothing_else(paths: LakePaths) -> None:
    root = paths.staging_root / "gexbot"
    old = put(root / PATH, 20)
    young = put(root / f"SPX/gex_one/{NAME}", 3)
    hidden = put(partial_path(old, "worker"), 400)
    strangers = [
        put(root / "notes.txt", 400),
        put(root / "NQ_NDX/notes.txt", 400),
        put(root / "NQ_NDX/elsewhere/a.json", 400),
        put(root / "NQ_NDX/gex_zero/deep/a.json", 400),
        put(paths.data_dir / "archive/a.json", 400),
        put(paths.data_dir / "source/other/SPX/gex_zero/a.json", 400),
    ]
    link = root / "NQ_NDX/gex_zero/link.json"
    link.symlink_to(strangers[-1])
    age(link, 400)
    counts = await duty(paths, a_state(Status.COMPLETED)).run_once()
    assert counts == {"removed": 1, "freed_bytes": 10}
    assert not old.exists()
    assert all(path.exists() for path in (young, hidden, link, old.parent, *strangers))


async def test_flat_files_are_pruned_like_other_staged_files(paths: LakePaths) -> None:
    days = [date(2025, 11, 13), date(2025, 11, 14)]
    old, needed = (put(paths.staged(WHOLE_MARKET, BARS_ENDPOINT, f"{day}.csv.gz"), 20) for day in days)
    done, fetching = (
        a_state(
            status,
            staged_path=None,
            ticker=WHOLE_MARKET,
            endpoint=BARS_ENDPOINT,
            base_url=MassiveUrls().base_url_of(FlatFile(day)),
        )
        for status, day in zip((Status.COMPLETED, Status.STARTED), days, strict=True)
    )
    assert await duty(paths, done, fetching).run_once() == {"removed": 1, "freed_bytes": 10}
    assert (old.exists(), needed.exists()) == (False, True)


async def test_an_idle_round_counts_nothing(paths: LakePaths) -> None:
    assert await duty(paths).run_once() == {"removed": 0, "freed_bytes": 0}
    put(paths.staging_root / "gexbot" / PATH, 400)
    assert await duty(paths, a_state(Status.STAGED)).run_once() == {"removed": 0, "freed_bytes": 0}


async def test_nothing_is_removed_while_the_jobs_are_unknown(paths: LakePaths) -> None:
    kept = put(paths.staging_root / "gexbot" / PATH, 400)
    blind = PruneStagedFiles(CONFIG, StagingFolderOnDisk(paths), UnreadJobs(), lambda: NOW)
    with pytest.raises(NotCaughtUp):
        await blind.run_once()
    assert kept.exists()


def test_a_file_staged_again_during_the_round_is_kept(paths: LakePaths) -> None:
    folder = StagingFolderOnDisk(paths)
    path = put(paths.staging_root / "gexbot" / PATH, 400)
    (listed,) = folder.files()
    put(path, 0, "another download")
    assert not folder.remove(listed)
    assert path.read_text() == "another download"


def test_a_file_that_no_longer_exists_is_not_counted(paths: LakePaths) -> None:
    folder = StagingFolderOnDisk(paths)
    path = put(paths.staging_root / "gexbot" / PATH, 400)
    (listed,) = folder.files()
    path.unlink()
    assert not folder.remove(listed)


def test_a_file_that_cannot_be_removed_does_not_end_the_round(
    paths: LakePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StagingFolderOnDisk(paths)
    put(paths.staging_root / "gexbot" / PATH, 400)
    (listed,) = folder.files()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert not folder.remove(listed)


def test_the_age_is_the_modification_time_not_the_day_in_the_name() -> None:
    path = f"NQ_NDX/gex_zero/{date(2001, 1, 1)}_NQ_NDX_classic_gex_zero.json"
    assert plan([a_file(1, path)], [], NOW, CONFIG) == ()
