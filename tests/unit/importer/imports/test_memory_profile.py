"""How much memory an import may take, and which path it goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.importer.imports.memory_profile import ImportPath, chosen, container_memory_mb, memory_for
from shared.bus.messages import PartitionImported
from tests.support.importer.lake import LakeOnDisk
from tests.support.repository import ROOT

DAY_BYTES = 150_000_000


@pytest.mark.parametrize(
    ("wanted", "limit_mb", "container_mb", "memory_mb"),
    [
        (ImportPath.AUTO, None, None, 384),
        (ImportPath.AUTO, None, 2048, 384),
        (ImportPath.AUTO, None, 640, 320),
        (ImportPath.AUTO, None, 512, 256),
        (ImportPath.AUTO, None, 256, 160),
        (ImportPath.BOUNDED, None, 2048, 160),
        (ImportPath.BOUNDED, 400, 2048, 400),
        (ImportPath.FAST, 3000, 2048, 3000),
    ],
)
def test_memory_is_what_is_set_or_half_of_the_container_within_bounds(
    wanted: ImportPath, limit_mb: int | None, container_mb: int | None, memory_mb: int
) -> None:
    assert memory_for(wanted, limit_mb, container_mb) == memory_mb


@pytest.mark.parametrize(
    ("wanted", "memory_mb", "threads", "size_bytes", "path"),
    [
        (ImportPath.AUTO, 1024, 2, DAY_BYTES, ImportPath.FAST),
        (ImportPath.AUTO, 160, 2, DAY_BYTES, ImportPath.BOUNDED),
        (ImportPath.AUTO, 1024, 1, DAY_BYTES, ImportPath.BOUNDED),
        (ImportPath.AUTO, 1024, 2, 1_000_000, ImportPath.BOUNDED),
        (ImportPath.FAST, 128, 1, 1_000, ImportPath.FAST),
        (ImportPath.BOUNDED, 4096, 8, DAY_BYTES, ImportPath.BOUNDED),
    ],
)
def test_the_fast_path_is_taken_where_it_is_worth_its_memory(
    wanted: ImportPath, memory_mb: int, threads: int, size_bytes: int, path: ImportPath
) -> None:
    assert chosen(wanted, memory_mb, threads, size_bytes) is path


def test_the_fast_path_is_taken_from_the_container_on_that_the_architecture_says() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (said,) = re.findall(r"from `(\d+)m` on the fast path is taken", text)

    def path_in(container_mb: int) -> ImportPath:
        return chosen(ImportPath.AUTO, memory_for(ImportPath.AUTO, None, container_mb), 2, DAY_BYTES)

    assert path_in(int(said)) is ImportPath.FAST
    assert path_in(int(said) - 1) is ImportPath.BOUNDED


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
    lake = LakeOnDisk(tmp_path, import_path="bounded", memory_limit_mb=96)
    others = ",".join(f'"a_field_to_come_{number}":1' for number in range(60))
    records = (
        f'{{"timestamp":{1763130600 + second},"ticker":"NQ_NDX","spot":1,{others}}}'
        for second in range(20_000)
    )
    assert isinstance(lake.bring_in(lake.stage("\n".join(records))), PartitionImported)
    ((unknown_records, names),) = lake.rows("SELECT unknown_records, unknown_fields FROM partitions")
    assert unknown_records == 20_000
    assert len(names.split(", ")) == 60
    lake.close()
