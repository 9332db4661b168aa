"""Partial files: their bytes, their place, and what a sweep may remove."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import threading
from pathlib import Path
from uuid import UUID

import pytest

from services.fetcher.partial_files import PartialFile, StagedFile, find, sweep_job, sweep_tree
from shared.paths import is_partial, partial
from shared.source_name import MAX_NAME_LENGTH

JOB = UUID("12345678-1234-5678-1234-567812345678")
OTHER_JOB = UUID("87654321-1234-5678-1234-567812345678")


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "source" / "NQ_NDX" / "gex_zero" / "day.json"


def opened(final: Path, job_id: UUID = JOB) -> PartialFile:
    file = PartialFile(final, job_id, 1)
    file.open()
    return file


def published(final: Path, content: bytes) -> StagedFile:
    file = opened(final)
    file.write(content)
    file.seal()
    return file.publish()


def left_by_a_dead_process(final: Path, job_id: UUID = JOB) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    path = partial(final, f"{job_id.hex}-1-00000000")
    path.write_bytes(b"half of it")
    return path


def partials(final: Path) -> list[Path]:
    return [path for path in final.parent.iterdir() if is_partial(path)]


def test_a_published_file_is_in_its_place_read_only_with_its_checksum(final: Path) -> None:
    file = opened(final)
    file.write(b"[1,")
    file.write(bytearray(b"2]"))
    assert not final.exists()
    file.seal()
    staged = file.publish()
    assert (final.read_bytes(), stat.S_IMODE(final.stat().st_mode)) == (b"[1,2]", 0o444)
    assert (staged.path, staged.size_bytes) == (final, 5)
    assert staged.sha256 == hashlib.sha256(b"[1,2]").hexdigest()
    assert staged.modified_ns == final.stat().st_mtime_ns
    file.discard()
    assert list(final.parent.iterdir()) == [final]


def test_the_same_content_again_leaves_the_file_as_it_is(final: Path) -> None:
    first = published(final, b"[]")
    inode = final.stat().st_ino
    os.utime(final, ns=(1_000_000_000, 1_000_000_000))
    second = published(final, b"[]")
    assert (second.sha256, second.modified_ns) == (first.sha256, 1_000_000_000)
    assert final.stat().st_ino == inode
    assert partials(final) == []


def test_other_content_replaces_the_file(final: Path) -> None:
    published(final, b"[1]")
    published(final, b"[2]")
    assert final.read_bytes() == b"[2]"


def test_a_discarded_file_is_gone_and_takes_no_more(final: Path) -> None:
    file = opened(final)
    file.write(b"[")
    file.discard()
    file.discard()
    assert list(final.parent.iterdir()) == []
    for late in (lambda: file.write(b"1"), file.seal, file.publish, file.open):
        with pytest.raises(ValueError, match=r"day\.json"):
            late()


def test_a_discard_waits_for_a_thread_that_is_still_writing(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(final)
    syncing, go_on = threading.Event(), threading.Event()

    def slow_fsync(_: int) -> None:
        syncing.set()
        go_on.wait(10)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    sealing = threading.Thread(target=file.seal)
    discarding = threading.Thread(target=file.discard)
    sealing.start()
    syncing.wait(10)
    discarding.start()
    assert len(partials(final)) == 1
    go_on.set()
    sealing.join(10)
    discarding.join(10)
    assert partials(final) == []


def test_two_writers_of_one_job_have_files_of_their_own(final: Path) -> None:
    one, two = opened(final), opened(final)
    one.write(b"[1]")
    two.write(b"[2]")
    assert {path.read_bytes() for path in partials(final)} == {b"[1]", b"[2]"}
    one.discard()
    two.discard()


def test_the_longest_name_still_fits_with_a_large_generation(tmp_path: Path) -> None:
    name = "x" * (MAX_NAME_LENGTH - len(".json.gz")) + ".json.gz"
    file = PartialFile(tmp_path / name, JOB, 99_999)
    file.open()
    file.discard()


def test_a_sweep_of_the_tree_removes_what_dead_processes_left_and_nothing_else(
    final: Path, tmp_path: Path
) -> None:
    dead = [left_by_a_dead_process(final), left_by_a_dead_process(final.parents[1] / "gex_one" / "b.json")]
    live = opened(final)
    live.write(b"[")
    (final.parent / "2025-11-13.json").write_bytes(b"[]")
    (final.parent / ".keep").touch()
    assert sweep_tree(tmp_path / "source") == 2
    assert not any(path.exists() for path in dead)
    assert len(partials(final)) == 1
    assert {".keep", "2025-11-13.json"} < {path.name for path in final.parent.iterdir()}
    live.discard()


def test_a_sweep_of_a_folder_that_is_not_there_removes_nothing(final: Path) -> None:
    assert (sweep_tree(final.parent), sweep_job(final, JOB)) == (0, 0)


def test_a_sweep_of_a_job_leaves_the_partials_of_other_jobs(final: Path) -> None:
    mine, others = left_by_a_dead_process(final), left_by_a_dead_process(final, OTHER_JOB)
    assert sweep_job(final, JOB) == 1
    assert (mine.exists(), others.exists()) == (False, True)


def test_a_file_that_was_swept_before_it_was_locked_is_made_again(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[int] = []

    def lock_too_late(file: object, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.append(sweep_job(final, JOB))
        lock(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", lock_too_late)
    published(final, b"[]")
    assert (swept, final.read_bytes()) == ([1], b"[]")


def test_a_file_is_found_by_its_content(final: Path) -> None:
    final.parent.mkdir(parents=True)
    sha256 = hashlib.sha256(b"[1]").hexdigest()
    assert find(final, 3, sha256) is None
    final.write_bytes(b"[2]")
    assert find(final, 3, sha256) is None
    final.write_bytes(b"[1]")
    found = find(final, 3, sha256)
    assert found is not None
    assert found.modified_ns == final.stat().st_mtime_ns
