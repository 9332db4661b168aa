"""Local files: only regular ones, only below the allowed folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from services.fetcher.errors import SourceMissing, SourceRefused
from services.fetcher.sources.local import LocalSource
from shared.sources.gate import SourceGate


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    (tmp_path / "outside.json").write_bytes(b"[0]")
    return folder


async def read(allowed: Path, url: str) -> bytes:
    source = LocalSource(SourceGate.parse((), (str(allowed),)))
    async with source.open(url) as body:
        content = b"".join([chunk async for chunk in body.chunks])
        assert body.total_bytes == len(content)
        return content


async def test_a_file_below_the_folder_is_read_and_kept(allowed: Path) -> None:
    path = allowed / "sub" / "day.json"
    path.parent.mkdir()
    path.write_bytes(b"[" + b" " * 600_000 + b"]")
    assert await read(allowed, path.as_uri()) == path.read_bytes()


async def test_a_link_that_stays_inside_is_followed(allowed: Path) -> None:
    (allowed / "day.json").write_bytes(b"[1]")
    (allowed / "link.json").symlink_to("day.json")
    assert await read(allowed, (allowed / "link.json").as_uri()) == b"[1]"


async def test_an_allowed_folder_may_itself_be_a_link(allowed: Path, tmp_path: Path) -> None:
    (allowed / "day.json").write_bytes(b"[1]")
    (tmp_path / "alias").symlink_to(allowed)
    assert await read(tmp_path / "alias", (tmp_path / "alias" / "day.json").as_uri()) == b"[1]"


@pytest.mark.parametrize("through", ["file", "folder"])
async def test_a_link_that_leads_out_is_refused(allowed: Path, tmp_path: Path, through: str) -> None:
    if through == "file":
        (allowed / "link.json").symlink_to(tmp_path / "outside.json")
        url = (allowed / "link.json").as_uri()
    else:
        (allowed / "sub").symlink_to(tmp_path)
        url = (allowed / "sub" / "outside.json").as_uri()
    with pytest.raises(SourceRefused, match="symbolic link"):
        await read(allowed, url)


async def test_a_path_outside_or_climbing_is_refused(allowed: Path, tmp_path: Path) -> None:
    for url in ((tmp_path / "outside.json").as_uri(), f"file://{allowed}/../outside.json"):
        with pytest.raises(SourceRefused):
            await read(allowed, url)


async def test_a_pipe_and_a_folder_are_no_files(allowed: Path) -> None:
    os.mkfifo(allowed / "pipe.json")
    (allowed / "folder.json").mkdir()
    for name in ("pipe.json", "folder.json"):
        with pytest.raises(SourceRefused, match="not a regular file"):
            await read(allowed, (allowed / name).as_uri())


async def test_a_missing_file_is_final(allowed: Path) -> None:
    with pytest.raises(SourceMissing, match=r"gone\.json"):
        await read(allowed, (allowed / "gone.json").as_uri())


async def test_a_file_that_may_not_be_read_is_final_and_tells_who_has_to(
    allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    (allowed / "day.json").write_text("[]")
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(
        SourceRefused, match=r"cannot be opened \(Permission denied\): let the fetcher read it"
    ):
        await read(allowed, (allowed / "day.json").as_uri())


async def test_a_loop_of_links_is_final(allowed: Path) -> None:
    (allowed / "loop.json").symlink_to("loop.json")
    with pytest.raises(SourceRefused, match="cannot be opened"):
        await read(allowed, (allowed / "loop.json").as_uri())
