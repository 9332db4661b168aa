"""What attempts have left behind: whom it is kept for, and what a sweep may remove."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from uuid import UUID

import pytest

from services.fetcher.download import resume_metadata
from services.fetcher.download.partial_recovery import (
    STALE_AFTER_S,
    locked,
    partial_name,
    recover,
    remove_abandoned,
    sweep_tree,
)
from services.fetcher.download.resume_metadata import ResumeMetadata
from shared.paths import is_partial, resume_metadata_path

JOB = UUID("12345678-1234-5678-1234-567812345678")
NOTE = ResumeMetadata(etag='"0x8DC"', total_bytes=100, durable_bytes=4)


@pytest.fixture
def final(tmp_path: Path) -> Path:
    final = tmp_path / "source" / "NQ_NDX" / "gex_zero" / "day.json"
    final.parent.mkdir(parents=True)
    return final


def left(final: Path, note: ResumeMetadata | None = None) -> Path:
    """Write what a process left that died."""
    path = partial_name(final, JOB, "00000000")
    path.write_bytes(b"[1,2,")
    if note:
        resume_metadata.write(resume_metadata_path(path), note)
    return path


def sweep(final: Path, later_s: float = 0) -> int:
    return sweep_tree(final.parents[2], time.time() + later_s)


def test_a_sweep_removes_only_files_that_cannot_be_resumed(final: Path) -> None:
    dead = left(final)
    live = locked(partial_name(final, JOB, "live"), os.O_RDWR | os.O_CREAT | os.O_EXCL)
    assert live is not None
    (final.parent / "2025-11-13.json").write_bytes(b"[]")
    (final.parent / ".keep").touch()
    assert sweep(final) == 1
    assert not dead.exists()
    names = {path.name for path in final.parent.iterdir()}
    assert names == {"2025-11-13.json", ".keep", partial_name(final, JOB, "live").name}
    live.close()


def test_what_can_be_gone_on_with_is_kept_for_a_day(final: Path) -> None:
    path = left(final, note=NOTE)
    assert sweep(final, STALE_AFTER_S - 60) == 0
    assert resume_metadata_path(path).exists()
    assert sweep(final, STALE_AFTER_S + 60) == 1
    assert list(final.parent.iterdir()) == []


def test_a_live_writer_keeps_its_file_however_long_it_takes(final: Path) -> None:
    path = left(final, note=NOTE)
    live = locked(path, os.O_RDWR)
    assert live is not None
    assert sweep(final, 10 * STALE_AFTER_S) == 0
    assert path.exists()
    assert resume_metadata_path(path).exists()
    live.close()


def test_of_a_job_that_is_done_nothing_dead_is_kept(final: Path) -> None:
    left(final, note=NOTE)
    live = locked(partial_name(final, JOB, "live"), os.O_RDWR | os.O_CREAT | os.O_EXCL)
    assert live is not None
    other = partial_name(final, UUID(int=1), "00000000")
    other.touch()
    final.write_bytes(b"[]")
    assert remove_abandoned(final.parent, JOB) == 1
    assert set(final.parent.iterdir()) == {final, other, partial_name(final, JOB, "live")}
    live.close()


def test_notes_without_their_files_go(final: Path) -> None:
    path = left(final, note=NOTE)
    unfinished = resume_metadata_path(path).with_name(f"{resume_metadata_path(path).name}~")
    unfinished.touch()
    path.unlink()
    assert sweep(final) == 0
    assert list(final.parent.iterdir()) == []


def test_a_note_of_more_than_there_is_keeps_nothing_to_go_on_with(final: Path) -> None:
    left(final, note=NOTE.model_copy(update={"durable_bytes": 6}))
    assert recover(final, JOB) is None
    assert list(final.parent.iterdir()) == []


def test_a_sweep_of_a_folder_that_is_not_there_removes_nothing(tmp_path: Path) -> None:
    assert sweep_tree(tmp_path / "nowhere", 0) == 0


def test_a_link_in_the_place_of_a_partial_is_not_followed(final: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"[1,2,")
    path = partial_name(final, JOB, "00000000")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        recover(final, JOB)
    assert (tmp_path / "precious").read_bytes() == b"[1,2,"


def test_a_file_that_was_swept_before_it_was_locked_counts_as_gone(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    path = left(final)

    def lock_too_late(file: object, operation: int) -> None:
        path.unlink(missing_ok=True)
        lock(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", lock_too_late)
    assert locked(path, os.O_RDWR) is None
    assert not [path for path in final.parent.iterdir() if is_partial(path)]
