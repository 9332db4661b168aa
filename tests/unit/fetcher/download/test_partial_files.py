"""Partial files: their bytes, their place, and what a sweep may remove."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import threading
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from services.fetcher.download import resume_metadata
from services.fetcher.download.partial_files import PartialFile
from services.fetcher.download.resume_metadata import ResumeMetadata
from services.fetcher.download.staged_files import StagedFile, find
from services.fetcher.errors import NotAHistoryFile
from services.fetcher.sources.source import ResumePoint
from shared.gexbot.source_name import MAX_NAME_LENGTH
from shared.paths import is_partial, resume_metadata_path

JOB = UUID("12345678-1234-5678-1234-567812345678")
OTHER_JOB = UUID("87654321-1234-5678-1234-567812345678")
SOURCE = "https://hist.gex.bot"
ETAG = '"0x8DC"'
CONTENT = b"[" + b"1," * 1_000_000 + b"1]"


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "source" / "NQ_NDX" / "gex_zero" / "day.json"


def opened(final: Path, job_id: UUID = JOB) -> PartialFile:
    file = PartialFile(final, job_id, 10_000_000)
    file.open()
    return file


def begun(final: Path, content: bytes, *, etag: str | None = ETAG, total: int | None = None) -> PartialFile:
    file = opened(final)
    file.begin(SOURCE, 0, etag, total)
    file.write([content])
    return file


def published(final: Path, content: bytes, job_id: UUID = JOB) -> StagedFile:
    file = opened(final, job_id)
    file.begin(SOURCE, 0, ETAG, len(content))
    file.write([content])
    file.seal()
    return file.publish()


def partials(final: Path) -> list[Path]:
    return [path for path in final.parent.iterdir() if is_partial(path)]


def test_a_published_file_is_in_its_place_read_only_with_its_checksum(final: Path) -> None:
    file = opened(final)
    file.begin(SOURCE, 0, ETAG, 5)
    file.write([b"[1", b","])
    file.write([b"2]"])
    file.checkpoint()
    assert not final.exists()
    file.seal()
    staged = file.publish()
    assert (final.read_bytes(), stat.S_IMODE(final.stat().st_mode)) == (b"[1,2]", 0o444)
    assert (staged.path, staged.size_bytes) == (final, 5)
    assert staged.sha256 == hashlib.sha256(b"[1,2]").hexdigest()
    assert staged.modified_ns == final.stat().st_mtime_ns
    file.discard()
    file.release()
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


def test_a_file_of_another_job_with_the_same_name_has_a_place_of_its_own(final: Path) -> None:
    mine = published(final, b"[1]")
    others = published(final, b"[2]", OTHER_JOB)
    assert (mine.path, others.path.name) == (final, "day~876543211234.json")
    assert (final.read_bytes(), others.path.read_bytes()) == (b"[1]", b"[2]")
    assert published(final, b"[3]", OTHER_JOB).path == others.path
    assert published(final, b"[4]").path == final
    assert (final.read_bytes(), others.path.read_bytes()) == (b"[4]", b"[3]")


def test_the_place_of_another_job_keeps_the_ending(final: Path) -> None:
    packed = final.with_name("day.jsonl.gz")
    published(packed, gzip.compress(b"[1]"))
    assert published(packed, gzip.compress(b"[2]"), OTHER_JOB).path.name == "day~876543211234.jsonl.gz"


def test_a_file_system_without_owners_has_one_place(final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", unsupported)
    monkeypatch.setattr(os, "getxattr", unsupported)
    assert published(final, b"[1]").path == published(final, b"[2]", OTHER_JOB).path == final


@pytest.mark.parametrize("end", ["discard", "release"])
def test_a_file_that_was_let_go_of_takes_no_more(final: Path, end: str) -> None:
    file = begun(final, b"[", etag=None)
    getattr(file, end)()
    getattr(file, end)()
    assert list(final.parent.iterdir()) == []
    begin = partial(file.begin, SOURCE, 0, None, None)
    for late in (begin, partial(file.write, [b"1"]), file.seal, file.publish, file.open):
        with pytest.raises(ValueError, match=r"day\.json"):
            late()
    file.checkpoint()
    assert list(final.parent.iterdir()) == []


def test_a_discard_waits_for_a_thread_that_is_still_writing(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = begun(final, b"[1]")
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
    one, two = begun(final, b"[1]"), begun(final, b"[2]")
    assert {path.read_bytes() for path in partials(final)} == {b"[1]", b"[2]"}
    one.discard()
    two.discard()


def test_the_longest_name_still_fits(tmp_path: Path) -> None:
    name = "x" * (MAX_NAME_LENGTH - len(".json")) + ".json"
    file = begun(tmp_path / name, b"[1")
    file.release()
    again = opened(tmp_path / name)
    assert again.resume_point == ResumePoint(2, ETAG, None)
    again.discard()


def test_what_is_left_is_gone_on_with_and_the_checksum_is_of_the_whole(final: Path) -> None:
    begun(final, CONTENT[:1_500_000], total=len(CONTENT)).release()
    (name,) = partials(final)
    file = opened(final)
    assert file.resume_point == ResumePoint(1_500_000, ETAG, len(CONTENT))
    file.begin(SOURCE, 1_500_000, ETAG, len(CONTENT))
    file.write([CONTENT[1_500_000:]])
    assert partials(final) == [name]
    file.seal()
    assert file.publish().sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert list(final.parent.iterdir()) == [final]


def test_bytes_after_the_last_that_were_surely_on_disk_are_not_trusted(final: Path) -> None:
    begun(final, b"[1,2,3").release()
    (path,) = partials(final)
    resume_metadata.write(resume_metadata_path(path), ResumeMetadata(etag=ETAG, durable_bytes=4))
    file = opened(final)
    assert file.resume_point == ResumePoint(4, ETAG, None)
    file.begin(SOURCE, 4, ETAG, None)
    file.write([b"4]"])
    file.seal()
    assert file.publish().sha256 == hashlib.sha256(b"[1,24]").hexdigest()
    assert final.read_bytes() == b"[1,24]"


def test_of_a_file_that_was_whole_the_last_byte_is_asked_for_again(final: Path) -> None:
    file = begun(final, b"[1]", total=3)
    assert file.resume_point is None
    file.seal()
    file.release()
    again = opened(final)
    assert again.resume_point == ResumePoint(2, ETAG, 3)
    again.discard()


def test_another_file_begins_at_zero_with_nothing_of_the_one_before(final: Path) -> None:
    begun(final, b"[1,2,3", total=7).release()
    file = opened(final)
    file.begin(SOURCE, 0, '"new"', 4)
    assert [resume_metadata_path(path).exists() for path in partials(final)] == [False]
    file.write([b"[44]"])
    file.seal()
    staged = file.publish()
    assert (final.read_bytes(), staged.sha256) == (b"[44]", hashlib.sha256(b"[44]").hexdigest())


def test_a_file_without_an_entity_tag_cannot_be_gone_on_with(final: Path) -> None:
    file = begun(final, b"[1,", etag=None)
    file.checkpoint()
    assert file.resume_point is None
    file.release()
    assert list(final.parent.iterdir()) == []


def test_more_bytes_than_announced_are_not_kept(final: Path) -> None:
    file = begun(final, b"[1,2]", total=3)
    assert file.resume_point is None
    file.release()
    assert list(final.parent.iterdir()) == []


def test_a_partial_file_that_is_no_history_file_is_downloaded_again(final: Path) -> None:
    begun(final, b"[1,2").release()
    (path,) = partials(final)
    path.write_bytes(b"<html")
    file = opened(final)
    assert (file.resume_point, file.size_bytes, path.read_bytes()) == (None, 0, b"")
    file.discard()


def test_of_several_left_the_furthest_is_gone_on_with_and_the_others_go(final: Path) -> None:
    contents = (b"[1,2", b"[1,2,3,4", b"[1")
    files = [begun(final, content) for content in contents]
    for file in files:
        file.release()
    assert len(partials(final)) == 3
    file = opened(final)
    assert file.resume_point == ResumePoint(8, ETAG, None)
    assert len(partials(final)) == 1
    file.discard()
    assert list(final.parent.iterdir()) == []


def test_what_another_job_or_a_live_writer_has_is_left_alone(final: Path) -> None:
    live = begun(final, b"[1,2,3")
    live.checkpoint()
    begun_by_other = opened(final, OTHER_JOB)
    mine = opened(final)
    assert (mine.resume_point, begun_by_other.resume_point, len(partials(final))) == (None, None, 3)
    for file in (live, begun_by_other, mine):
        file.discard()


def test_an_empty_file_and_a_gzip_that_breaks_off_are_refused_at_the_end(final: Path) -> None:
    empty = opened(final)
    empty.begin(SOURCE, 0, None, None)
    with pytest.raises(NotAHistoryFile, match="is empty"):
        empty.seal()
    empty.discard()
    cut = begun(final.with_name("day.json.gz"), gzip.compress(b"[]")[:-1])
    assert not cut.is_complete
    with pytest.raises(NotAHistoryFile, match="breaks off"):
        cut.seal()
    cut.discard()


def test_a_packed_file_is_inflated_again_when_it_is_gone_on_with(final: Path) -> None:
    final = final.with_name("day.json.gz")
    packed = gzip.compress(CONTENT)
    begun(final, packed[:500], total=len(packed)).release()
    file = opened(final)
    file.begin(SOURCE, 500, ETAG, len(packed))
    file.write([packed[500:]])
    assert file.is_complete
    file.seal()
    assert file.publish().sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("text", ["", "{}", '{"etag": "\\"x\\"", "durable_bytes": 0}', "[" * 10_000])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert resume_metadata.read(tmp_path / "note") is None
    assert resume_metadata.read(tmp_path / "missing") is None


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
