"""Opening flat files at a stand-in of the vendor's S3 interface."""

from __future__ import annotations

import csv
import gzip
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from services.fetcher.errors import SourceBusy
from services.fetcher.massive.errors import FlatFileNotYet, FlatFileRefused
from services.fetcher.massive.flat_files import FlatFiles
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from shared.sources.gate import SourceGate
from simulator.massive.flat_files import ACCESS_KEY, SECRET_KEY
from simulator.massive.market import Market, Split
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive

FRIDAY = date(2026, 6, 5)
MARKET = Market({"AAPL": 1.0, "DBrw": 0.1}, splits=(Split("AAPL", date(2026, 6, 8), 4),))
NOW = datetime(2026, 6, 8, 18, tzinfo=UTC)


@pytest.fixture
def massive() -> Iterator[FakeMassive]:
    with FakeMassive(MARKET, now=lambda: int(NOW.timestamp() * 1000)) as running:
        running.flat_files.published.add(FRIDAY)
        yield running


@pytest.fixture
async def files(massive: FakeMassive) -> AsyncIterator[FlatFiles]:
    gate = SourceGate.parse((massive.base,))
    async with new_client(5, 5, GatedBackend(gate)) as client:
        source = HttpSource(client, gate)
        yield FlatFiles(source, massive.base, SecretStr(ACCESS_KEY), SecretStr(SECRET_KEY), lambda: NOW)


async def read(files: FlatFiles, day: date) -> tuple[bytes, str | None]:
    async with files.open(day) as body:
        return b"".join([bytes(chunk) async for chunk in body.chunks]), body.etag


async def test_a_file_has_the_unadjusted_bars_of_all_symbols(files: FlatFiles) -> None:
    content, _ = await read(files, FRIDAY)
    rows = list(csv.DictReader(gzip.decompress(content).decode().splitlines()))
    assert list(rows[0]) == [
        *("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
    ]
    found = [(row["ticker"], float(row["close"]), int(row["window_start"])) for row in rows]
    assert found == [
        (symbol, bar.close, bar.timestamp * 1_000_000)
        for symbol in MARKET.symbols
        for bar in MARKET.bars(symbol, FRIDAY)
    ]


async def test_a_replaced_file_has_another_etag(files: FlatFiles, massive: FakeMassive) -> None:
    first = await read(files, FRIDAY)
    assert await read(files, FRIDAY) == first
    massive.rest.changed["AAPL", MARKET.bars("AAPL", FRIDAY)[0].timestamp] = None
    massive.flat_files.replace(FRIDAY)
    assert (await read(files, FRIDAY))[1] != first[1]


async def test_the_secret_is_not_sent(files: FlatFiles) -> None:
    url = files.signed_url(FRIDAY)
    assert SECRET_KEY not in url
    assert urlsplit(url).path == "/flatfiles/us_stocks_sip/minute_aggs_v1/2026/06/2026-06-05.csv.gz"
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].startswith(f"{ACCESS_KEY}/")


@pytest.mark.parametrize(
    ("day", "kind", "text"),
    [
        (date(2026, 6, 8), FlatFileNotYet, "no flat file of 2026-06-08 yet"),
        (
            date(2026, 6, 4),
            FlatFileRefused,
            "refuses the flat file of 2026-06-04 \\(HTTP 403\\): the day had no trading",
        ),
    ],
)
async def test_a_file_that_is_refused_is_waited_for_only_if_its_day_is_recent(
    files: FlatFiles, day: date, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        await read(files, day)


async def test_a_server_that_fails_is_asked_again_later(files: FlatFiles, massive: FakeMassive) -> None:
    massive.answer_next(Answer(503, b"SlowDown"))
    with pytest.raises(SourceBusy, match="answered 503"):
        await read(files, FRIDAY)


async def test_nothing_of_the_environment_is_signed_or_sent(
    massive: FakeMassive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "of-another-account")
    gate = SourceGate.parse((massive.base,))
    async with new_client(5, 5, GatedBackend(gate)) as client:
        keys = SecretStr(ACCESS_KEY), SecretStr(SECRET_KEY)
        files = FlatFiles(HttpSource(client, gate), massive.base, *keys, lambda: NOW)
        assert await read(files, FRIDAY)
        url = files.signed_url(FRIDAY)
    assert "of-another-account" not in url
    assert "Security-Token" not in url
