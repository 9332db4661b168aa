"""Files renamed into place are flushed, and so is their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.process import durable_files


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was flushed, in order."""
    flushed: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return flushed


def test_a_durable_rename_replaces_the_old_file_and_flushes_the_folder(
    tmp_path: Path, synced: list[Path]
) -> None:
    temporary, final = tmp_path / ".new.part", tmp_path / "file"
    final.write_text("old")
    temporary.write_text("new")
    durable_files.sync_file(temporary)
    durable_files.rename_durably(temporary, final)
    assert (final.read_text(), temporary.exists()) == ("new", False)
    assert synced == [temporary, tmp_path]


def test_a_deep_folder_has_each_of_its_entries_flushed(tmp_path: Path, synced: list[Path]) -> None:
    durable_files.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


def test_an_existing_folder_is_not_flushed(tmp_path: Path, synced: list[Path]) -> None:
    durable_files.make_folder(tmp_path)
    assert synced == []


def test_a_missing_file_is_an_error_and_the_final_file_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError):
        durable_files.rename_durably(tmp_path / "missing", tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        durable_files.sync_file(tmp_path / "missing")
    assert (tmp_path / "file").read_text() == "old"
