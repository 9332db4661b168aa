"""The fetcher puts another download in a staged file's place while it is imported: none of it is mixed in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from services.importer.errors import BadRecord, StagedFileMissing, StagedFileReplaced
from services.importer.imports import replace
from shared.bus.messages import ImportFile, Job, PartitionImported
from tests.support.importer.lake import LakeOnDisk, a_record, records
from tests.support.values import a_job

OLD = records(3, strikes=[[25_000, 1, 1, []]])
NEW = [a_record(second, spot=30_000, strikes=[[30_000, 2, 2, []]]) for second in range(3)]
STEPS = ("plain_file", "select_records", "parquet_query")
"""Before the file is unpacked, before its records are read, and between them and their rows."""


@pytest.fixture(params=[".json", ".json.gz"])
def job(request: pytest.FixtureRequest) -> Job:
    job = a_job()
    return job.model_copy(update={"base_url": job.base_url.removesuffix(".json") + request.param})


@pytest.fixture
def swap_at(lake: LakeOnDisk, job: Job, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let another file take the staged one's place when a step of the import begins."""

    def swap_at(step: str) -> None:
        work = getattr(replace, step)

        def work_after_the_swap(*arguments: Any) -> Any:
            stage(lake, NEW, job)
            return work(*arguments)

        monkeypatch.setattr(replace, step, work_after_the_swap)

    return swap_at


def stage(lake: LakeOnDisk, content: list[Any], job: Job) -> ImportFile:
    data = json.dumps(content).encode()
    return lake.stage(gzip.compress(data) if job.base_url.endswith(".gz") else data, job)


@pytest.mark.parametrize("step", STEPS)
def test_what_is_imported_is_the_file_that_was_checked(
    lake: LakeOnDisk, job: Job, swap_at: Callable[[str], None], step: str
) -> None:
    command = stage(lake, OLD, job)
    swap_at(step)
    event = lake.import_staged(command)
    assert isinstance(event, PartitionImported)
    assert event.sha256 == command.sha256
    assert lake.rows("SELECT spot_price FROM gex_snapshots ORDER BY timestamp") == [
        (record["spot"],) for record in OLD
    ]
    assert lake.rows("SELECT DISTINCT strike, gamma FROM gex_strikes") == [(25_000, 1)]
    assert lake.differences() == 0


@pytest.mark.parametrize("step", STEPS)
def test_the_error_of_a_file_names_what_is_wrong_in_it_and_not_in_another(
    lake: LakeOnDisk, job: Job, swap_at: Callable[[str], None], step: str
) -> None:
    command = stage(lake, [*OLD, a_record(3, strikes=[[25_000, "1", 1, []]])], job)
    swap_at(step)
    with pytest.raises(BadRecord, match=r"classic_gex_zero\.json(\.gz)?: record 4: strikes"):
        lake.import_staged(command)


def test_a_file_that_is_gone_or_another_when_its_import_begins_is_not_read(
    lake: LakeOnDisk, job: Job
) -> None:
    command = stage(lake, OLD, job)
    stage(lake, NEW, job)
    with pytest.raises(StagedFileReplaced):
        lake.import_staged(command)
    lake.settings.paths.staged_from_relative(command.staged_path).unlink()
    with pytest.raises(StagedFileMissing, match="is gone"):
        lake.import_staged(command)
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(0,)]
