"""What is told from the bytes of a file while they come in."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fetcher.download.content import Content
from services.fetcher.errors import ErrorInsteadOfFile, FileTooLarge, NotAHistoryFile
from shared.errors import GexlakeError

HOST = "https://hist.gex.bot"
MIB = 1024 * 1024


def taken(name: str, blocks: Iterable[bytes], max_bytes: int = 10 * MIB) -> Content:
    content = Content(name, max_bytes)
    for block in blocks:
        content.update(HOST, block)
    return content


def bomb(size_bytes: int) -> Iterator[bytes]:
    """Yield a gzip of zeros after a bracket, in blocks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    yield packer.compress(b"[")
    for _ in range(size_bytes // MIB):
        yield packer.compress(bytes(MIB))
    yield packer.flush()


@given(st.lists(st.binary(max_size=2000), max_size=4), st.integers(1, 100), st.binary(max_size=3))
def test_a_gzip_is_complete_for_any_split_into_blocks(parts: list[bytes], step: int, zeros: bytes) -> None:
    packed = b"".join(map(gzip.compress, [b"[", *parts])) + bytes(len(zeros))
    first, rest = packed[:10], packed[10:]
    content = taken("a.json.gz", [first, *(rest[at : at + step] for at in range(0, len(rest), step))])
    content.finish(HOST)
    assert content.sha256 == hashlib.sha256(packed).hexdigest()
    assert content.size_bytes == len(packed)


@pytest.mark.parametrize("missing", [1, 4, 8, 9, 20])
def test_a_truncated_gzip_is_reported_at_its_end(missing: int) -> None:
    content = taken("a.json.gz", [gzip.compress(b"[1,2,3]" * 100)[:-missing]])
    assert not content.is_complete
    with pytest.raises(NotAHistoryFile, match="broken gzip: it breaks off"):
        content.finish(HOST)


@pytest.mark.parametrize(
    "packed",
    [
        b"\x1f\x8b\x08" + bytes(100),
        gzip.compress(b"[1]" * 100)[:-8] + bytes(8),
        gzip.compress(b"[]") + b"garbage",
        b"\x1f\x8b\x09" + gzip.compress(b"[]")[3:],
    ],
    ids=["deflate", "checksum", "trailer", "method"],
)
def test_a_gzip_that_is_none_or_whose_checksum_is_wrong_is_refused(packed: bytes) -> None:
    with pytest.raises(NotAHistoryFile, match="broken gzip"):
        taken("a.json.gz", [packed])


def test_a_bomb_is_refused_at_the_limit_and_never_in_memory() -> None:
    blocks = list(bomb(200 * MIB))
    assert sum(map(len, blocks)) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(FileTooLarge, match=r"inflates to at least .*GEXLAKE_MAX_FILE_BYTES"):
            taken("a.json.gz", blocks, max_bytes=100 * MIB)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * MIB


def test_a_gzip_of_just_the_limit_passes() -> None:
    taken("a.json.gz", bomb(MIB), max_bytes=MIB + 1).finish(HOST)
    with pytest.raises(FileTooLarge):
        taken("a.json.gz", bomb(MIB), max_bytes=MIB)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_the_first_two_bytes_decide_whether_it_is_gzip(name: str, *, is_packed: bool) -> None:
    plain = b'[{"a":1}]'
    content = taken(name, [gzip.compress(plain) if is_packed else plain])
    content.finish(HOST)
    assert content.is_complete
    cut = taken(name, [gzip.compress(plain)[:-1] if is_packed else plain[:-1]])
    assert not cut.is_complete


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (
            b'{"error":"not subscribed"}',
            ErrorInsteadOfFile,
            "sent an error in place of a.json: 'not subscribed'",
        ),
        (gzip.compress(b'{"error": "not subscribed"}', mtime=0), ErrorInsteadOfFile, "not subscribed"),
        (gzip.compress(gzip.compress(b"[]", mtime=0), mtime=0), NotAHistoryFile, "is compressed twice"),
        (gzip.compress(b"<html>", mtime=0), NotAHistoryFile, "is a web page"),
    ],
)
@pytest.mark.parametrize("step", [5, 1000])
def test_what_is_sent_in_place_of_a_file_is_named(
    content: bytes, error: type[GexlakeError], words: str, step: int
) -> None:
    blocks = [content[start : start + step] for start in range(0, len(content), step)]
    with pytest.raises(error, match=words):
        taken("a.json", blocks).finish(HOST)


def test_plain_json_is_not_inflated() -> None:
    content = taken("a.json", [b"[1,", b"2]"])
    content.finish(HOST)
    assert (content.is_complete, content.size_bytes) == (True, 5)
    assert content.sha256 == hashlib.sha256(b"[1,2]").hexdigest()


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(NotAHistoryFile, match="is empty"):
        Content("a.json", 10).finish(HOST)


@pytest.mark.parametrize(
    ("text", "is_complete"),
    [
        (b"[]", True),
        (b'[{"a":1}]\r\n', True),
        (b'\xef\xbb\xbf [{"a":1}]' + b" " * 1000, True),
        (b'{"a":1}\n{"a":2}', True),
        (b'[{"a":1}', False),
        (b'[{"a":1},\n', False),
        (b"[" + b" " * 1000, False),
        (b'{"a":1}\n{"a":', False),
        (b'{"a":[1]', False),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_plain_json_is_complete_when_it_ends_in_its_bracket(
    text: bytes, step: int, *, is_complete: bool
) -> None:
    first, rest = text[:5], text[5:]
    blocks = [first, *(rest[start : start + step] for start in range(0, len(rest), step))]
    assert taken("day.json", blocks).is_complete is is_complete


def test_what_the_source_says_is_the_whole_may_end_anywhere() -> None:
    """The importer tells what is wrong with it, and where."""
    taken("day.json", [b'[{"a":1},']).finish(HOST)


COLUMNS = b"ticker,volume,open,close,high,low,window_start,transactions\n"


@pytest.mark.parametrize("step", [7, 10_000])
def test_a_flat_file_is_gzip_data_with_the_needed_columns_in_any_order(step: int) -> None:
    text = b'\xef\xbb\xbf"low","high","open","close","window_start","ticker","extra"\r\n'
    packed = gzip.compress(text + b"1,1,1,1,1,A,x\r\n")
    for whole in (packed, gzip.compress(COLUMNS), gzip.compress(COLUMNS.strip())):
        content = taken("2026-06-05.csv.gz", [whole[at : at + step] for at in range(0, len(whole), step)])
        content.finish(HOST)
        assert content.is_complete


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (COLUMNS, "is not gzip data"),
        (b"<?xml version='1.0'?><Error/>", "is not gzip data"),
        (gzip.compress(b"[]"), "has no column ticker, open, close, high, low, window_start"),
        (gzip.compress(b""), "has no column ticker"),
        (gzip.compress(COLUMNS.replace(b"low", b"lo")), "its first line has no column low"),
        (gzip.compress(COLUMNS.replace(b"volume", b"open")), "has a column twice"),
        (gzip.compress(COLUMNS)[:-4], "it breaks off"),
    ],
    ids=["plain", "XML", "JSON", "empty", "other columns", "a column twice", "cut"],  # gzip data has the time
)
def test_what_is_no_flat_file_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(NotAHistoryFile, match=what):
        taken("2026-06-05.csv.gz", [content]).finish(HOST)
