"""Every row of the table in docs/fetching.md, against a server on the loopback that can do each of them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from services.fetcher import errors
from services.fetcher.download.attempt import download, partial_of
from services.fetcher.download.block_writer import blocking
from services.fetcher.download.staged_files import StagedFile
from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import new_limits, sources
from shared.errors import GexlakeError, Terminal, Transient
from shared.paths import is_partial
from simulator.vendor import Fault, Vendor
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.values import a_job

DOCUMENT: Final = ROOT / "docs" / "fetching.md"
CONTENT: Final = b"[" + b"1," * 200_000 + b"1]"
PACKED: Final = gzip.compress(CONTENT)
MAX_BYTES: Final = 1_000_000
IMPATIENT: Final = {"fetch_read_timeout_s": 0.2}
BOMB: Final = gzip.compress(b"[" + bytes(20_000_000))


@dataclass(frozen=True)
class Row:
    """What the source does, and how the fetch ends."""

    trouble: Fault
    error: type[GexlakeError]
    words: str
    content: bytes = CONTENT
    name: str = "day.json"
    settings: dict[str, float] = field(default_factory=dict)


def answers(status: int, error: type[GexlakeError], words: str = "", **headers: str) -> Row:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(Fault(status=status, headers=named), error, words or str(status))


def is_of(kind: str) -> Row:
    return Row(Fault(content_type=kind), errors.UnusableAnswer, kind.partition(";")[0])


def sends(content: bytes, error: type[GexlakeError], words: str, name: str = "day.json") -> Row:
    return Row(Fault(), error, words, content, name)


ROWS: Final = {
    "no connection": Row(Fault(), errors.SourceUnreachable, "could not be reached"),
    "no answer in time": Row(
        Fault(), errors.SourceUnavailable, "sent nothing for too long", settings=IMPATIENT
    ),
    "an answer whose head trickles in": Row(
        Fault(),
        errors.SourceTooSlow,
        "had not answered after 1.4 s (GEXLAKE_FETCH_READ_TIMEOUT_S)",
        settings={"fetch_connect_timeout_s": 0.2, "fetch_read_timeout_s": 1.0},
    ),
    "connection closed without an answer": Row(
        Fault(raw_response=b""), errors.SourceUnavailable, "broke off"
    ),
    "an answer that is not HTTP": Row(
        Fault(raw_response=b"SSH-2.0-OpenSSH\r\n"), errors.SourceUnavailable, "did not speak HTTP"
    ),
    "silence in the middle": Row(
        Fault(hold_after_bytes=1000),
        errors.SourceUnavailable,
        "sent nothing for too long",
        settings=IMPATIENT,
    ),
    "below the minimum speed": Row(
        Fault(bytes_per_s=10_000),
        errors.SourceTooSlow,
        "GEXLAKE_FETCH_MIN_BYTES_PER_S",
        settings={"fetch_min_bytes_per_s": 1_000_000, "fetch_min_speed_window_s": 0.2},
    ),
    "not done by the deadline": Row(
        Fault(bytes_per_s=100_000),
        errors.SourceTooSlow,
        "GEXLAKE_FETCH_TIMEOUT_S",
        settings={"fetch_timeout_s": 0.3},
    ),
    "fewer bytes than announced": Row(
        Fault(cut_after_bytes=1000), errors.SourceUnavailable, "broke off the connection"
    ),
    "a gzip without a length that breaks off": Row(
        Fault(content_length=False, cut_after_bytes=100),
        errors.FileIncomplete,
        "broke off",
        PACKED,
        "day.json.gz",
    ),
    "JSON without a length that breaks off": Row(
        Fault(content_length=False, cut_after_bytes=1000), errors.FileIncomplete, "broke off"
    ),
    "408": answers(408, errors.SourceBusy),
    "425": answers(425, errors.SourceBusy),
    "429": answers(429, errors.SourceBusy),
    "429 with Retry-After": answers(429, errors.SourceBusy, "a Retry-After of 120 s", Retry_After="120"),
    "500": answers(500, errors.SourceBusy),
    "502": answers(502, errors.SourceBusy),
    "503": answers(503, errors.SourceBusy),
    "503 with a date in Retry-After": answers(
        503, errors.SourceBusy, "a Retry-After of 0 s", Retry_After="Fri, 14 Nov 2025 17:02:00 GMT"
    ),
    "504": answers(504, errors.SourceBusy),
    "another 5xx": answers(599, errors.SourceBusy),
    "401": answers(401, errors.SignatureRejected, "post a fresh URL"),
    "403": answers(403, errors.SignatureRejected, "post a fresh URL"),
    "403 on a path with /hist/": Row(
        Fault(status=403), errors.SourceForbids, "answered 403", name="hist/day.json"
    ),
    "404": answers(404, errors.SourceMissing, "no such file"),
    "410": answers(410, errors.SourceMissing, "no such file"),
    "416": answers(416, errors.UnusableAnswer),
    "204": answers(204, errors.UnusableAnswer),
    "206 that was not asked for": answers(206, errors.UnusableAnswer),
    "another 4xx": answers(418, errors.UnusableAnswer),
    "a redirect to nowhere": Row(
        Fault(status=302, headers={"Location": ""}), errors.UnusableAnswer, "without saying where to"
    ),
    "a redirect that is not allowed": Row(
        Fault(redirect_to="https://elsewhere.test/day.json?sig=secret"),
        errors.SourceRefused,
        "not allowed",
    ),
    "more than three redirects": Row(
        Fault(redirect_to="/day.json"), errors.UnusableAnswer, "redirects more than 3 times"
    ),
    "text/html": is_of("text/html; charset=utf-8"),
    "application/xml": is_of("application/xml"),
    "another type that no file has": is_of("image/png"),
    "a Content-Encoding other than gzip": Row(
        Fault(headers={"Content-Encoding": "br"}), errors.UnusableAnswer, "Content-Encoding", PACKED
    ),
    "too large as announced": sends(b"[" * (MAX_BYTES + 1), errors.FileTooLarge, "GEXLAKE_MAX_FILE_BYTES"),
    "too large as received": Row(
        Fault(content_length=False),
        errors.FileTooLarge,
        "GEXLAKE_MAX_FILE_BYTES",
        b"[" * (MAX_BYTES + 1),
    ),
    "too large inflated": sends(BOMB, errors.FileTooLarge, "inflates to at least", "day.json.gz"),
    "a web page instead of JSON": sends(b"\n<!DOCTYPE html>", errors.NotAHistoryFile, "web page"),
    "neither [ nor {": sends(b"timestamp,spot", errors.NotAHistoryFile, "neither"),
    "gzip within gzip": sends(gzip.compress(PACKED), errors.NotAHistoryFile, "compressed twice"),
    "an error object": sends(b'{"error": "not subscribed"}', errors.ErrorInsteadOfFile, "not subscribed"),
    "a broken gzip": sends(PACKED[:-100] + bytes(100), errors.NotAHistoryFile, "broken gzip", "day.json.gz"),
    "a gzip that ends too early": sends(PACKED[:-9], errors.NotAHistoryFile, "breaks off", "day.json.gz"),
    "nothing": sends(b"", errors.NotAHistoryFile, "is empty"),
}

WITHOUT_A_VENDOR: Final = ("no connection", "no answer in time", "an answer whose head trickles in")


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "vendor"
    folder.mkdir()
    with Vendor(folder) as vendor:
        yield vendor


async def fetch(vendor: Vendor, name: str, tmp_path: Path, **settings: float) -> StagedFile:
    chosen = FetcherSettings(
        allowed_sources=(vendor.base_url,),
        max_file_bytes=MAX_BYTES,
        fetch_read_timeout_s=10,
    ).model_copy(update=settings)
    final = tmp_path / "source" / name

    async def tell(done: int, total: int | None) -> None:
        assert total is None or done <= total

    async with sources(chosen) as source, partial_of(final, a_job(), chosen.max_file_bytes) as partial:
        await download(source, vendor.url_of(name), partial, on_progress=tell, limits=new_limits(chosen))
        return await blocking(final, partial.publish)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in WITHOUT_A_VENDOR])
async def test_a_trouble_ends_as_the_table_says(vendor: Vendor, tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    (vendor.folder / row.name).parent.mkdir(exist_ok=True)
    (vendor.folder / row.name).write_bytes(row.content)
    vendor.inject_fault(row.name, row.trouble)
    with pytest.raises(row.error, match=re.escape(row.words)) as raised:
        await fetch(vendor, row.name, tmp_path, **row.settings)
    vendor.release()
    assert "secret" not in str(raised.value)
    assert type(raised.value) is row.error
    can_help = issubclass(row.error, Transient)
    assert is_documented(name, "transient" if can_help else "terminal")
    left = [path for path in (tmp_path / "source").rglob("*.*") if not is_partial(path)]
    assert not [path for path in left if path.suffix != ".resume"]
    assert can_help or left == []


@pytest.mark.parametrize("name", ["day.json", "day.json.gz"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_gzip_is_stored_as_it_is_sent_whatever_its_name_and_encoding(
    vendor: Vendor, tmp_path: Path, name: str, encoding: str
) -> None:
    (vendor.folder / name).write_bytes(PACKED)
    vendor.inject_fault(name, Fault(headers={"Content-Encoding": encoding} if encoding else {}))
    staged = await fetch(vendor, name, tmp_path)
    assert staged.path.read_bytes() == PACKED


async def test_a_refused_connection_is_transient(vendor: Vendor, tmp_path: Path) -> None:
    vendor.stop()
    row = ROWS["no connection"]
    with pytest.raises(row.error, match=row.words):
        await fetch(vendor, "day.json", tmp_path)
    assert is_documented("no connection", "transient")


async def test_a_source_that_takes_the_connection_and_says_nothing_is_transient(
    vendor: Vendor, tmp_path: Path
) -> None:
    row = ROWS["no answer in time"]
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(row.error, match=row.words):
        await fetch_by_way_of(vendor, silent.getsockname()[1], tmp_path, row)
    assert is_documented("no answer in time", "transient")


async def test_a_source_that_sends_its_headers_byte_by_byte_is_transient(
    vendor: Vendor, tmp_path: Path
) -> None:
    """Each byte comes in time, and the last one never."""
    row, over = ROWS["an answer whose head trickles in"], asyncio.Event()

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.transport.abort()
        over.set()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        with pytest.raises(row.error, match=re.escape(row.words)):
            await fetch_by_way_of(vendor, server.sockets[0].getsockname()[1], tmp_path, row)
        await asyncio.wait_for(over.wait(), 10)
    assert is_documented("an answer whose head trickles in", "transient")


async def fetch_by_way_of(vendor: Vendor, port: int, tmp_path: Path, row: Row) -> None:
    """Fetch from another server of this machine, where the vendor redirects to."""
    elsewhere = f"http://127.0.0.1:{port}/"
    vendor.inject_fault("day.json", Fault(redirect_to=f"{elsewhere}day.json"))
    allowed = (vendor.base_url, elsewhere)
    await fetch(vendor, "day.json", tmp_path, allowed_sources=allowed, **row.settings)  # type: ignore[arg-type]


def test_the_document_has_just_the_rows_that_are_tested() -> None:
    assert [name for name, _ in documented()] == list(ROWS)
    assert all(issubclass(row.error, Transient | Terminal) for row in ROWS.values())


def documented() -> list[tuple[str, str]]:
    """Return the rows of the document's table: what the source does, and whether that is transient."""
    rows = re.findall(r"^\| ([^|]+) \| (transient|terminal) \|", DOCUMENT.read_text(), re.MULTILINE)
    return [(name.replace("`", ""), verdict) for name, verdict in rows]


def is_documented(name: str, verdict: str) -> bool:
    return (name, verdict) in documented()


@pytest.mark.slow
async def test_a_day_of_150_mb_over_connections_cut_every_20_mb_comes_whole_and_once(
    vendor: Vendor, tmp_path: Path
) -> None:
    content = b"[" + b"0123456789," * 13_600_000 + b"0]"
    (vendor.folder / "day.json").write_bytes(content)
    vendor.inject_fault("day.json", Fault(cut_after_bytes=20_000_000))
    staged = await fetch(vendor, "day.json", tmp_path, max_file_bytes=200_000_000)
    assert staged.sha256 == hashlib.sha256(content).hexdigest()
    assert staged.size_bytes == len(content)
    assert vendor.requests.count("day.json") == 8
    assert vendor.requests.sent_bytes < 1.1 * len(content)


@pytest.mark.parametrize(
    "then",
    [
        Fault(),
        Fault(if_range=False),
        Fault(ranges=False),
        Fault(if_range=False, headers={"ETag": ""}),
    ],
    ids=["as-it-should", "if-range-ignored", "ranges-ignored", "no-entity-tag"],
)
async def test_a_file_that_changes_half_way_ends_as_the_new_one_unmixed(
    vendor: Vendor, tmp_path: Path, then: Fault
) -> None:
    """The bytes of both have the same length, and whatever the source makes of the range, none is mixed."""
    old, new = CONTENT, CONTENT.replace(b"1", b"2")
    path = vendor.folder / "day.json"
    path.write_bytes(old)
    vendor.inject_fault("day.json", Fault(hold_after_bytes=200_000, cut_after_bytes=200_000))
    fetching = asyncio.create_task(fetch(vendor, "day.json", tmp_path))
    await eventually(lambda: vendor.requests.sent_bytes >= 200_000)
    path.write_bytes(new)
    vendor.inject_fault("day.json", then)
    vendor.release()
    staged = await fetching
    assert staged.path.read_bytes() == new
    assert staged.sha256 == hashlib.sha256(new).hexdigest()
