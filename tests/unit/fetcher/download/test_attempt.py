"""A download in blocks, from a source made of chunks."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.fetcher.download.attempt import Limits, download, partial_of
from services.fetcher.download.bandwidth import Bandwidth
from services.fetcher.download.block_writer import BLOCK_BYTES, blocking
from services.fetcher.download.partial_files import PartialFile
from services.fetcher.errors import (
    FileIncomplete,
    FileTooLarge,
    NotAHistoryFile,
    SourceUnavailable,
    StagingFailed,
    StagingFull,
)
from services.fetcher.sources.source import Body, ResumePoint
from shared.errors import Deferred
from shared.paths import is_partial
from tests.support.poll import eventually
from tests.support.values import a_job

LIMITS = Limits(max_bytes=10 * BLOCK_BYTES, timeout_s=30)
URL = "https://hist.gex.bot/day.json?sig=secret"


class ChunkSource:
    """Gives fixed chunks; waits after the last one if it never ends."""

    def __init__(self, chunks: Iterable[bytes], total: int | None = None, *, ends: bool = True) -> None:
        self._chunks, self._total, self._ends = chunks, total, ends
        self.closed = False

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
        assert (url, resume_from) == (URL, None)
        try:
            yield Body("https://hist.gex.bot", self._total, self._give())
        finally:
            self.closed = True

    async def _give(self) -> AsyncGenerator[bytes, None]:
        for chunk in self._chunks:
            yield chunk
        if not self._ends:
            await asyncio.Event().wait()


async def fetch(
    source: ChunkSource, final: Path, limits: Limits = LIMITS
) -> tuple[bytes, list[tuple[int, int | None]]]:
    told = []

    async def tell(done: int, total: int | None) -> None:
        told.append((done, total))

    try:
        async with partial_of(final, a_job(), limits.max_bytes) as partial:
            await download(source, URL, partial, on_progress=tell, limits=limits)
            await blocking(final, partial.publish)
    finally:
        assert source.closed
        assert not [path for path in final.parent.iterdir() if is_partial(path)]
    return final.read_bytes(), told


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "NQ_NDX" / "gex_zero" / "day.json"


async def test_chunks_arrive_in_order_and_each_is_reported(final: Path) -> None:
    chunks = [b"[", b"1" * BLOCK_BYTES, b"," * (BLOCK_BYTES - 1), b"2]"]
    content, told = await fetch(ChunkSource(chunks, sum(map(len, chunks))), final)
    assert content == b"".join(chunks)
    assert [done for done, _ in told] == [1, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 2]
    assert {total for _, total in told} == {2 * BLOCK_BYTES + 2}


async def test_a_source_that_does_not_tell_its_size_is_taken_as_it_comes(final: Path) -> None:
    assert await fetch(ChunkSource([b"[]"]), final) == (b"[]", [(2, None)])


async def test_the_first_bytes_may_come_one_by_one(final: Path) -> None:
    final = final.with_name("day.json.gz")
    packed = gzip.compress(b"[]")
    content, _ = await fetch(ChunkSource([bytes([byte]) for byte in packed]), final)
    assert content == packed


@pytest.mark.parametrize(
    ("chunks", "total", "error"),
    [
        ([], None, NotAHistoryFile),
        ([], 0, NotAHistoryFile),
        ([b"<html>"], 6, NotAHistoryFile),
        ([], 5, FileIncomplete),
        ([b"[1]"], 5, FileIncomplete),
        ([b"[1] "], 3, FileIncomplete),
        ([b"[1]"], 11 * BLOCK_BYTES, FileTooLarge),
        ([b"[" * BLOCK_BYTES] * 11, None, FileTooLarge),
    ],
)
async def test_what_is_no_whole_file_is_refused_and_leaves_nothing(
    final: Path, chunks: list[bytes], total: int | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await fetch(ChunkSource(chunks, total), final)
    assert not final.exists()


async def test_a_source_that_trickles_for_too_long_is_a_transient_error(final: Path) -> None:
    source = ChunkSource([b"[1,"], ends=False)
    with pytest.raises(SourceUnavailable, match=r"after 0\.05 s .GEXLAKE_FETCH_TIMEOUT_S.") as raised:
        await fetch(source, final, Limits(max_bytes=100, timeout_s=0.05))
    assert "secret" not in str(raised.value)


async def test_a_cancelled_download_leaves_nothing(final: Path) -> None:
    source = ChunkSource([b"[" * BLOCK_BYTES], ends=False)  # and has no entity tag
    task = asyncio.create_task(fetch(source, final))
    await eventually(lambda: [path for path in final.parent.glob(".*") if path.stat().st_size])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_chunk_that_waits_for_the_bandwidth_cap_is_already_on_disk(final: Path) -> None:
    source = ChunkSource([b"[" * BLOCK_BYTES], ends=False)
    limits = replace(LIMITS, bandwidth=Bandwidth(bytes_per_s=10_000))
    task = asyncio.create_task(fetch(source, final, limits))
    await eventually(
        lambda: [path for path in final.parent.glob(".*") if path.stat().st_size == BLOCK_BYTES], within_s=10
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("code", "trouble"), [(errno.ENOSPC, StagingFull), (errno.EIO, StagingFailed)], ids=["full", "broken"]
)
@pytest.mark.parametrize("step", ["open", "write", "seal", "publish"])
async def test_a_disk_that_does_not_take_the_file_is_named_with_the_reason(
    final: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int, trouble: type[StagingFailed]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    final.parent.mkdir(parents=True)
    monkeypatch.setattr(PartialFile, step, fail)
    source = ChunkSource([b"[1]"])
    source.closed = step == "open"
    with pytest.raises(StagingFailed, match=rf"day\.json cannot be staged: {os.strerror(code)}") as raised:
        await fetch(source, final)
    assert type(raised.value) is trouble
    assert isinstance(raised.value, Deferred) == (code == errno.ENOSPC)
    assert not final.exists()
