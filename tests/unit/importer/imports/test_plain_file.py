"""The first two bytes of a file decide whether it is unpacked, and what it unpacks to is bounded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from services.importer.errors import TooLargeUnpacked, UnreadableFile
from services.importer.imports import plain_file as module
from services.importer.imports.handler import import_staged
from services.importer.imports.plain_file import plain_file
from services.importer.interruption import Interruption
from services.importer.lake.writer_thread import WriterThread
from services.importer.reader.source import OpenFile
from shared.bus.messages import ImportFile
from shared.errors import GexlakeError
from simulator.generator import Day
from tests.support.files.large_day import LargeDay
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON, a_job

MIB = 1 << 20
LIMIT_S = 15.0


def unpacked(folder: Path, packed: bytes, max_bytes: int = 100 * MIB) -> Path:
    path = folder / "day.json"
    path.write_bytes(packed)
    return plain_file(OpenFile(path.name, path), folder, Interruption(), max_bytes)


def packed_blocks(block: bytes, count: int) -> bytes:
    return gzip.compress(block) * count


@pytest.mark.parametrize("name", ["2025-11-14_NQ_NDX_classic_gex_zero.json", "day.json.gz", "day.jsonl"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_file_is_imported_whatever_its_name_says(lake: LakeOnDisk, name: str, is_packed: bool) -> None:
    content = json.dumps(records(3)).encode()
    command = lake.stage(
        gzip.compress(content) if is_packed else content, a_job(base_url=f"https://hist.gex.bot/{name}")
    )
    lake.import_staged(command)
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(3,)]


def test_what_unpacks_to_more_than_the_limit_is_refused_without_being_written(tmp_path: Path) -> None:
    packed = packed_blocks(b"}" * MIB, 9)
    assert unpacked(tmp_path, packed, 9 * MIB).stat().st_size == 9 * MIB
    with pytest.raises(TooLargeUnpacked, match=r"unpacks to more than 8388608 bytes.*MAX_FILE_BYTES"):
        unpacked(tmp_path, packed, 8 * MIB)
    assert (tmp_path / "plain.json").stat().st_size == 8 * MIB


@pytest.mark.parametrize("filling", [b" \t\r\n", b"text"])
def test_what_is_larger_than_a_record_may_be_is_not_unpacked_to_its_end(
    tmp_path: Path, filling: bytes
) -> None:
    packed = gzip.compress(b"[{},") + packed_blocks(filling * (MIB // 4), 40)
    with pytest.raises(UnreadableFile, match="the record after byte 3 is larger than 16 MiB"):
        unpacked(tmp_path, packed)
    assert (tmp_path / "plain.json").stat().st_size <= 18 * MIB


@pytest.mark.parametrize(
    ("beginning", "message"),
    [(b'[{"timestamp":null},', "record 1: timestamp is null"), (b"[{}x", "record 1: timestamp is missing")],
)
def test_nonsense_is_not_unpacked_to_its_end(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch, beginning: bytes, message: str
) -> None:
    monkeypatch.setattr(module, "PROBE_BYTES", 2 * MIB)
    # The limit would refuse the whole file, if it was unpacked so far.
    limits = replace(lake.settings.limits, max_file_bytes=3 * MIB)
    command = lake.stage(gzip.compress(beginning) + packed_blocks(b"{}," * (MIB // 3), 9))
    with pytest.raises(GexlakeError, match=message):
        import_staged(command, lake.lake, Interruption(), clock=lambda: NOON, limits=limits)


def test_a_packed_day_larger_than_its_checked_beginning_is_imported(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.dumps(records(500)).encode()
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1000)
    for probe_bytes in (1, 1000, 5000, len(content), len(content) + 1):
        monkeypatch.setattr(module, "PROBE_BYTES", probe_bytes)
        lake.import_staged(lake.stage(gzip.compress(content), force=True, reason="again"))
        assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(500,)]


def test_a_limit_of_the_settings_refuses_a_staged_file(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path, max_file_bytes=1000)
    with pytest.raises(TooLargeUnpacked, match="not imported"):
        lake.import_staged(lake.stage(gzip.compress(json.dumps(records(3)).encode())))
    lake.close()


def test_unpacking_ends_when_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = Interruption()
    path = tmp_path / "day.json"
    path.write_bytes(packed_blocks(b"x" * MIB, 3))
    monkeypatch.setattr(module, "_BLOCK_BYTES", MIB)
    interruption.request()
    with pytest.raises(Exception, match="interrupted"):
        plain_file(OpenFile(path.name, path), tmp_path, interruption, 100 * MIB)


def test_where_gzip_data_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = b"".join((gzip.compress(b"x" * MIB), gzip.compress(b"y" * MIB)))
    with pytest.raises(UnreadableFile, match="cut off or damaged after 1048576 bytes of text"):
        unpacked(tmp_path, whole[:-500])


@pytest.fixture(scope="module")
def cut_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A day of 600 MB that lacks its last 1,000 bytes."""
    path = tmp_path_factory.mktemp("cut") / "day.json"
    LargeDay(Day(strikes=100), 600_000_000).write(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    yield path
    path.unlink()


@pytest.mark.slow
async def test_a_day_of_600_mb_that_is_cut_at_its_end_says_so_in_time(tmp_path: Path, cut_day: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    size = cut_day.stat().st_size
    with pytest.raises(UnreadableFile, match=rf"the file is cut off in record \d+, at byte {size};"):
        await in_time(lake, lake.stage(cut_day.read_bytes()))
    lake.close()


@pytest.mark.slow
async def test_two_gigabytes_of_blanks_are_refused_in_time(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    bomb = b"".join((gzip.compress(b"["), packed_blocks(b" " * (64 * MIB), 32)))
    with pytest.raises(UnreadableFile, match="the record after byte 0 is larger than 16 MiB"):
        await in_time(lake, lake.stage(bomb))
    lake.close()


async def in_time(lake: LakeOnDisk, command: ImportFile) -> None:
    """Import as the importer does, and interrupt the import after the limit.

    Raises:
        ImportTimedOut: it was interrupted.
    """
    limits = lake.settings.limits
    work = partial(import_staged, command, lake.lake, clock=lambda: NOON, limits=limits)
    await WriterThread().run_within(work, LIMIT_S)
