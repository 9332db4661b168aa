"""How much memory an import may use, and how large its batches are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.importer.memory_profile import (
    LARGE_BATCH_ROWS,
    SMALL_BATCH_ROWS,
    ImportMemory,
    MemoryProfile,
    container_memory_mb,
    default_query_memory_mb,
    duckdb_memory_mb,
)
from services.importer.settings import ImporterSettings
from shared.bus.messages import PartitionImported
from tests.support.importer.lake import LakeOnDisk
from tests.support.repository import ROOT

DAY_BYTES = 150_000_000
AUTO, FAST, BOUNDED = MemoryProfile


@pytest.mark.parametrize(
    ("profile", "limit_mb", "container_mb", "memory_mb"),
    [
        (AUTO, None, None, 384),
        (AUTO, None, 2048, 384),
        (AUTO, None, 640, 320),
        (AUTO, None, 512, 256),
        (AUTO, None, 256, 160),
        (BOUNDED, None, 2048, 160),
        (BOUNDED, 400, 2048, 400),
        (FAST, 3000, 2048, 3000),
    ],
)
def test_memory_is_what_is_set_or_half_of_the_container_within_bounds(
    profile: MemoryProfile, limit_mb: int | None, container_mb: int | None, memory_mb: int
) -> None:
    assert duckdb_memory_mb(profile, limit_mb, container_mb) == memory_mb


@pytest.mark.parametrize(
    ("profile", "memory_mb", "threads", "size_bytes", "batch_rows"),
    [
        (AUTO, 1024, 2, DAY_BYTES, LARGE_BATCH_ROWS),
        (AUTO, 160, 2, DAY_BYTES, SMALL_BATCH_ROWS),
        (AUTO, 1024, 1, DAY_BYTES, SMALL_BATCH_ROWS),
        (AUTO, 1024, 2, 1_000_000, SMALL_BATCH_ROWS),
        (FAST, 128, 1, 1_000, LARGE_BATCH_ROWS),
        (BOUNDED, 4096, 8, DAY_BYTES, SMALL_BATCH_ROWS),
    ],
)
def test_batches_are_large_where_that_is_worth_its_memory(
    profile: MemoryProfile, memory_mb: int, threads: int, size_bytes: int, batch_rows: int
) -> None:
    assert ImportMemory(memory_mb, profile, threads).batch_rows(size_bytes) == batch_rows


def test_batches_are_large_from_the_container_size_on_that_the_documentation_names() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (documented,) = re.findall(r"from `(\d+)m` on batches are large", text)

    def batch_rows_in(container_mb: int) -> int:
        return ImportMemory(duckdb_memory_mb(AUTO, None, container_mb), AUTO, 2).batch_rows(DAY_BYTES)

    assert batch_rows_in(int(documented)) == LARGE_BATCH_ROWS
    assert batch_rows_in(int(documented) - 1) == SMALL_BATCH_ROWS


@pytest.mark.parametrize("name", ["GEXLAKE_MEMORY_PROFILE", "GEXLAKE_IMPORT_PATH"])
def test_the_profile_has_its_older_name_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "bounded")
    assert ImporterSettings().memory == ImportMemory(160, BOUNDED, 0)


@pytest.mark.parametrize("name", ["GEXLAKE_MAX_OUT_OF_DAY_RECORDS", "GEXLAKE_MAX_STRAY_RECORDS"])
def test_the_limit_of_out_of_day_records_has_its_older_name_too(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "3")
    assert ImporterSettings().limits.max_out_of_day == 3


@pytest.mark.parametrize(
    ("contents", "limit_mb"),
    [
        (("536870912\n", None), 512),
        (("max\n", None), None),
        ((None, "536870912\n"), 512),
        ((None, "9223372036854771712\n"), None),
        ((None, None), None),
    ],
    ids=["version_2", "version_2_no_limit", "version_1", "version_1_no_limit", "no_control_groups"],
)
def test_the_containers_limit_is_found_in_either_version_of_control_groups(
    tmp_path: Path, contents: tuple[str | None, ...], limit_mb: int | None
) -> None:
    files = [tmp_path / f"version_{number}" for number in (2, 1)]
    for file, content in zip(files, contents, strict=True):
        if content is not None:
            file.write_text(content)
    assert container_memory_mb(files) == limit_mb


def test_sixty_new_fields_in_every_record_take_little_memory(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path, memory_profile="bounded", memory_limit_mb=96)
    others = ",".join(f'"a_field_to_come_{number}":1' for number in range(60))
    records = (
        f'{{"timestamp":{1763130600 + second},"ticker":"NQ_NDX","spot":1,{others}}}'
        for second in range(20_000)
    )
    assert isinstance(lake.import_staged(lake.stage("\n".join(records))), PartitionImported)
    ((unknown_records, names),) = lake.rows("SELECT unknown_records, unknown_fields FROM partitions")
    assert unknown_records == 20_000
    assert len(names.split(", ")) == 60
    lake.close()


@pytest.mark.parametrize(
    ("workers", "container_mb", "expected_mb"),
    [(2, None, 384), (2, 2048, 384), (2, 1536, 284), (2, 512, 256), (30, 2048, 256)],
)
def test_queries_share_what_an_import_leaves(
    workers: int, container_mb: int | None, expected_mb: int
) -> None:
    assert default_query_memory_mb(workers, container_mb) == expected_mb
