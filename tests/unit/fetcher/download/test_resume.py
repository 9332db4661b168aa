"""A download that breaks off goes on where it was, in the same attempt or a later one, or begins at zero."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.fetcher.download.attempt import Limits, download, partial_of
from services.fetcher.download.bandwidth import Bandwidth
from services.fetcher.download.block_writer import BLOCK_BYTES, blocking
from services.fetcher.download.partial_files import PartialFile
from services.fetcher.download.staged_files import StagedFile
from services.fetcher.download.stall_detector import MinimumSpeed
from services.fetcher.errors import (
    FileIncomplete,
    FileTooLarge,
    NotAHistoryFile,
    SignatureRejected,
    SourceTooSlow,
    SourceUnavailable,
)
from services.fetcher.sources.source import Body, ResumePoint
from tests.support.poll import eventually
from tests.support.values import a_job

HOST = "https://hist.gex.bot"
URL = f"{HOST}/day.json?sig=secret"
CONTENT = b"[" + b"1," * 1_000_000 + b"1]"
NEW_CONTENT = b"[" + b"22," * 1_000_000 + b"2]"
CHUNK_BYTES = 50_000
LIMITS = Limits(max_bytes=10_000_000, timeout_s=30)


@dataclass
class RangeSource:
    """Serves one version of a file, from where it is asked, and can break off."""

    content: bytes = CONTENT
    etag: str | None = '"old"'
    announces: bool = True
    breaks_after: int | None = None
    """Each answer breaks off after so many bytes, if the file goes on after them."""
    then: RangeSource | None = None
    """What is served from the second answer on."""
    stalls: bool = False
    """Instead of breaking off, it sends no more."""
    asked: list[ResumePoint | None] = field(default_factory=list)
    sent_bytes: int = 0
    watched: tuple[int, threading.Event] | None = None

    def has_sent(self, size_bytes: int) -> threading.Event:
        """Return what is set once so many bytes were sent."""
        reached = threading.Event()
        self.watched = size_bytes, reached
        if self.sent_bytes >= size_bytes:
            reached.set()
        return reached

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
        assert url == URL
        self.asked.append(resume_from)
        serving = self.then if self.then and len(self.asked) > 1 else self
        start = resume_from.size_bytes if resume_from and resume_from.etag == serving.etag else 0
        total = len(serving.content) if serving.announces else None
        yield Body(HOST, total, self._give(serving, start), start, serving.etag)

    async def _give(self, serving: RangeSource, start: int) -> AsyncGenerator[bytes, None]:
        left = serving.breaks_after
        for position in range(start, len(serving.content), CHUNK_BYTES):
            if left is not None and left <= 0:
                if serving.stalls:
                    await asyncio.Event().wait()
                raise SourceUnavailable(HOST, "broke off the connection")
            chunk = serving.content[position : position + CHUNK_BYTES]
            await asyncio.sleep(0)  # as every network does
            self.sent_bytes += len(chunk)
            if self.watched and self.sent_bytes >= self.watched[0]:
                self.watched[1].set()
            left = None if left is None else left - len(chunk)
            yield chunk


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "NQ_NDX" / "gex_zero" / "day.json"


async def fetch(source: RangeSource, final: Path, limits: Limits = LIMITS) -> StagedFile:
    async def tell(done: int, total: int | None) -> None:
        assert total is None or done <= total

    async with partial_of(final, a_job(), limits.max_bytes) as partial:
        await download(source, URL, partial, on_progress=tell, limits=limits)
        return await blocking(final, partial.publish)


def assert_is_whole(staged: StagedFile, content: bytes = CONTENT) -> None:
    assert staged.path.read_bytes() == content
    assert staged.sha256 == hashlib.sha256(content).hexdigest()
    assert list(staged.path.parent.iterdir()) == [staged.path]


@pytest.mark.parametrize("announces", [True, False])
async def test_a_connection_that_is_cut_again_and_again_brings_each_byte_once(
    final: Path, announces: bool
) -> None:
    source = RangeSource(breaks_after=300_000, announces=announces)
    assert_is_whole(await fetch(source, final))
    assert source.sent_bytes == len(CONTENT)
    assert [point.size_bytes if point else 0 for point in source.asked] == list(range(0, 2_000_000, 300_000))


async def test_a_connection_that_hardly_leads_on_ends_the_attempt_and_the_next_one_goes_on(
    final: Path,
) -> None:
    source = RangeSource(breaks_after=CHUNK_BYTES)
    with pytest.raises(SourceUnavailable):
        await fetch(source, final)
    assert len(source.asked) == 1
    whole = RangeSource()
    assert_is_whole(await fetch(whole, final))
    assert whole.asked == [ResumePoint(CHUNK_BYTES, '"old"', len(CONTENT))]
    assert source.sent_bytes + whole.sent_bytes == len(CONTENT)


async def test_a_file_that_changes_half_way_ends_as_the_new_one_unmixed(final: Path) -> None:
    source = RangeSource(breaks_after=300_000, then=RangeSource(NEW_CONTENT, '"new"'))
    assert_is_whole(await fetch(source, final), NEW_CONTENT)


async def test_a_file_that_has_changed_between_attempts_ends_as_the_new_one(final: Path) -> None:
    with pytest.raises(SourceUnavailable):
        await fetch(RangeSource(breaks_after=CHUNK_BYTES), final)
    assert_is_whole(await fetch(RangeSource(NEW_CONTENT, '"new"'), final), NEW_CONTENT)


async def test_without_an_entity_tag_nothing_is_gone_on_with(final: Path) -> None:
    source = RangeSource(etag=None, breaks_after=300_000)
    with pytest.raises(SourceUnavailable):
        await fetch(source, final)
    assert source.asked == [None]
    assert list(final.parent.iterdir()) == []


async def test_a_source_that_always_begins_at_zero_and_never_ends_is_not_asked_for_ever(final: Path) -> None:
    class Forgetful(RangeSource):
        @asynccontextmanager
        async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
            async with super().open(url) as body:
                self.asked[-1] = resume_from
                yield body

    source = Forgetful(breaks_after=300_000)
    with pytest.raises(SourceUnavailable):
        await fetch(source, final)
    assert [point and point.size_bytes for point in source.asked] == [None, 300_000]


async def test_a_fresh_signature_goes_on_with_what_the_expired_one_left(final: Path) -> None:
    with pytest.raises(SourceUnavailable):
        await fetch(RangeSource(breaks_after=CHUNK_BYTES), final)

    class Expired(RangeSource):
        @asynccontextmanager
        async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
            async with super().open(url, resume_from):
                raise SignatureRejected(HOST, 403)
            yield

    with pytest.raises(SignatureRejected):
        await fetch(Expired(), final)
    fresh = RangeSource()
    assert_is_whole(await fetch(fresh, final))
    assert fresh.sent_bytes == len(CONTENT) - CHUNK_BYTES


async def test_a_cancelled_download_is_gone_on_with_where_it_was(final: Path) -> None:
    source = RangeSource(breaks_after=1_500_000, stalls=True)
    task = asyncio.create_task(fetch(source, final))
    await eventually(lambda: source.sent_bytes >= 1_500_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    whole = RangeSource()
    assert_is_whole(await fetch(whole, final))
    assert whole.sent_bytes == len(CONTENT) - 1_500_000


async def test_what_has_come_in_is_kept_within_a_second_while_the_source_says_nothing(final: Path) -> None:
    source = RangeSource(breaks_after=200_000, stalls=True)
    task = asyncio.create_task(fetch(source, final))
    notes = await eventually(lambda: list(final.parent.glob(".*.resume")), within_s=5)
    assert '"durable_bytes":200000' in notes[0].read_text()
    assert "secret" not in notes[0].read_text() + notes[0].name
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_source_below_the_minimum_speed_is_cut_and_the_rest_comes_later(final: Path) -> None:
    source = RangeSource(breaks_after=1_000_000, stalls=True)
    least = MinimumSpeed(bytes_per_s=1_000_000, window_s=0.2)
    limits = Limits(max_bytes=10_000_000, timeout_s=30, min_speed=least)
    with pytest.raises(SourceTooSlow, match="GEXLAKE_FETCH_MIN_BYTES_PER_S"):
        await fetch(source, final, limits)
    assert len(source.asked) == 1
    assert_is_whole(await fetch(RangeSource(), final, limits))


async def test_our_own_cap_is_not_the_sources_slowness(final: Path) -> None:
    least = MinimumSpeed(bytes_per_s=10_000_000, window_s=0.1)
    slow = Bandwidth(bytes_per_s=4_000_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    limits = Limits(max_bytes=10_000_000, timeout_s=30, min_speed=least, bandwidth=slow)
    assert_is_whole(await fetch(RangeSource(), final, limits))
    assert loop.time() - began >= 0.35


async def test_a_file_that_grows_over_the_limit_or_is_none_leaves_nothing(final: Path) -> None:
    with pytest.raises(FileTooLarge):
        await fetch(RangeSource(announces=False), final, Limits(max_bytes=1_500_000, timeout_s=30))
    assert list(final.parent.iterdir()) == []
    with pytest.raises(NotAHistoryFile):
        await fetch(RangeSource(b"<html>" * 1000), final)
    assert list(final.parent.iterdir()) == []


async def test_a_gzip_without_a_length_that_breaks_off_is_tried_again(final: Path) -> None:
    with pytest.raises(FileIncomplete, match="broke off"):
        await fetch(RangeSource(b"\x1f\x8b\x08\x00", announces=False), final.with_name("day.json.gz"))
    with pytest.raises(NotAHistoryFile, match="breaks off"):
        await fetch(RangeSource(b"\x1f\x8b\x08\x00"), final.with_name("other.json.gz"))


async def test_the_network_goes_on_while_the_disk_is_written(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PartialFile.write
    source = RangeSource()
    first: list[bool] = []

    def slow_write(partial: PartialFile, blocks: list[bytes]) -> None:
        if not first:
            first.append(source.has_sent(BLOCK_BYTES + 10 * CHUNK_BYTES).wait(10))
        write(partial, blocks)

    monkeypatch.setattr(PartialFile, "write", slow_write)
    assert_is_whole(await fetch(source, final))
    assert first == [True]
