"""What the fetcher asks Massive's REST API, and what it makes of each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime

import pytest
from pydantic import SecretStr

from services.fetcher.errors import SourceBusy, SourceUnreachable
from services.fetcher.massive.errors import (
    DayNotOver,
    MalformedAnswer,
    MassiveKeyMissing,
    MassiveKeyRefused,
    NotEntitled,
    RateLimited,
    RequestRefused,
    SymbolUnknown,
)
from services.fetcher.massive.rest import DayRange, MassiveRest, months_of
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import new_client
from shared.errors import GexlakeError, Terminal, Transient
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.bars import Bar
from shared.sources.gate import SourceGate
from simulator.massive import rest as fake
from simulator.massive.market import Market, Split
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive

JUNE = DayRange(date(2026, 6, 1), date(2026, 6, 30))
FRIDAY = DayRange(date(2026, 6, 5), date(2026, 6, 5))
MARKET = Market({"AAPL": 1.0, "THIN": 0.02}, splits=(Split("AAPL", date(2026, 6, 8), 4),))
NOON = int(datetime(2026, 7, 1, 12, tzinfo=NEW_YORK).timestamp() * 1000)


async def no_wait() -> None:
    """There is always a turn."""


@pytest.fixture
def massive() -> Iterator[FakeMassive]:
    with FakeMassive(MARKET, now=lambda: NOON) as running:
        yield running


@pytest.fixture
async def rest(massive: FakeMassive) -> AsyncIterator[MassiveRest]:
    async with new_client(5, 5, GatedBackend(SourceGate.parse((massive.base,)))) as client:
        yield MassiveRest(client, massive.base, SecretStr(massive.key), no_wait)


async def bars_of(rest: MassiveRest, symbol: str, days: DayRange, *, adjusted: bool = False) -> list[Bar]:
    return [bar async for page in rest.minute_bars(symbol, days, adjusted=adjusted) for bar in page.bars]


@pytest.mark.parametrize("adjusted", [True, False])
async def test_a_month_of_bars_is_read_value_for_value(rest: MassiveRest, adjusted: bool) -> None:
    assert await bars_of(rest, "AAPL", JUNE, adjusted=adjusted) == list(
        MARKET.bars_between("AAPL", *JUNE, adjusted=adjusted)
    )


@pytest.mark.parametrize("next_url", ["@elsewhere.example/v2/x", ".elsewhere.example/v2/x", "http://[v2", ""])
async def test_a_next_url_that_is_none_is_not_appended_to_the_address(
    rest: MassiveRest, massive: FakeMassive, next_url: str
) -> None:
    massive.answer_next(Answer(200, {"status": "OK", "next_url": next_url}))
    with pytest.raises(MalformedAnswer):
        await bars_of(rest, "AAPL", FRIDAY)


async def test_pages_are_read_from_the_api_whatever_host_next_url_names(
    rest: MassiveRest, massive: FakeMassive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fetcher.massive.rest.PAGE_LIMIT", 500)
    expected = list(MARKET.bars_between("AAPL", *FRIDAY))
    pages = [page async for page in rest.minute_bars("AAPL", FRIDAY, adjusted=False)]
    assert [bar for page in pages for bar in page.bars] == expected
    assert [len(page.bars) for page in pages] == [500, len(expected) - 500]
    assert str(pages[0].next_url).startswith(fake.PUBLIC_BASE)
    assert massive.key not in "".join(request.query for request in massive.requests)


async def test_a_symbol_without_trades_has_one_empty_page(rest: MassiveRest) -> None:
    assert [page.bars async for page in rest.minute_bars("GONE", FRIDAY, adjusted=False)] == [[]]


async def test_delayed_data_are_marked(rest: MassiveRest, massive: FakeMassive) -> None:
    massive.rest.is_delayed = True
    assert [page.is_delayed async for page in rest.minute_bars("THIN", FRIDAY, adjusted=False)] == [True]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Answer(400, {"status": "ERROR", "error": "bad from"}), RequestRefused, "HTTP 400: 'bad from'"),
        (Answer(401, {"status": "ERROR", "error": "Unknown API Key"}), MassiveKeyRefused, "POLYGON_API_KEY"),
        (Answer(403, {"status": "NOT_AUTHORIZED", "message": "upgrade"}), NotEntitled, "403: 'upgrade'"),
        (Answer(404, {"status": "NOT_FOUND"}), SymbolUnknown, "does not know the symbol AAPL"),
        (Answer(302, b"", {"Location": "http://127.0.0.1:9/"}), RequestRefused, "HTTP 302"),
        (Answer(200, b"<html>"), MalformedAnswer, "cannot be read"),
        (Answer(200, {"status": "ERROR", "error": "no"}), MalformedAnswer, "status is 'ERROR': no"),
    ],
)
async def test_an_answer_that_a_retry_will_not_change_is_final(
    rest: MassiveRest, massive: FakeMassive, answer: Answer, kind: type[GexlakeError], text: str
) -> None:
    massive.answer_next(answer)
    with pytest.raises(kind, match=text) as caught:
        await bars_of(rest, "AAPL", FRIDAY)
    assert isinstance(caught.value, Terminal)
    assert caught.value.is_refusal is (kind in {RequestRefused, NotEntitled, SymbolUnknown})
    assert massive.key not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind", "wait_s"),
    [
        (Answer(429, {"status": "ERROR", "error": "exceeded"}), RateLimited, 20),
        (Answer(429, b"", {"Retry-After": "7"}), RateLimited, 7),
        (Answer(503, b""), SourceBusy, None),
        (Answer(408, b""), SourceBusy, None),
    ],
)
async def test_an_answer_that_a_retry_may_change_is_transient(
    rest: MassiveRest, massive: FakeMassive, answer: Answer, kind: type[Transient], wait_s: float | None
) -> None:
    massive.answer_next(answer)
    with pytest.raises(kind) as caught:
        await bars_of(rest, "AAPL", FRIDAY)
    assert caught.value.retry_after_s == wait_s
    assert len(await bars_of(rest, "AAPL", FRIDAY)) == len(MARKET.bars("AAPL", FRIDAY.first))


async def test_todays_bars_wait_for_the_end_of_the_day_if_the_plan_says_so(
    rest: MassiveRest, massive: FakeMassive
) -> None:
    massive.rest.is_end_of_day = True
    with pytest.raises(DayNotOver, match="only after the end of the day"):
        await bars_of(rest, "AAPL", DayRange(date(2026, 7, 1), date(2026, 7, 1)))


async def test_history_before_the_start_of_the_plan_is_refused_for_good(
    rest: MassiveRest, massive: FakeMassive
) -> None:
    massive.rest.first_day = date(2026, 6, 5)
    with pytest.raises(NotEntitled, match="minute bars of AAPL, 2026-06-01 to 2026-06-30"):
        await bars_of(rest, "AAPL", JUNE)


async def test_a_key_in_an_error_is_not_shown(rest: MassiveRest, massive: FakeMassive) -> None:
    for status, kind in ((400, RequestRefused), (200, MalformedAnswer)):
        massive.answer_next(Answer(status, {"status": "ERROR", "error": f"bad key {massive.key}"}))
        with pytest.raises(kind, match=r"bad key \[redacted\]"):
            await bars_of(rest, "AAPL", FRIDAY)


async def test_no_part_of_a_key_is_left_at_the_end_of_a_long_text(
    rest: MassiveRest, massive: FakeMassive
) -> None:
    massive.answer_next(Answer(403, {"status": "ERROR", "error": f"{'x' * 295}{massive.key}"}))
    with pytest.raises(NotEntitled) as refused:
        await bars_of(rest, "AAPL", FRIDAY)
    assert massive.key[:4] not in str(refused.value)


async def test_pages_that_repeat_end_in_an_error(rest: MassiveRest, massive: FakeMassive) -> None:
    again = {"status": "OK", "next_url": "https://api.massive.com/v2/x?cursor=1&apiKey=secret"}
    massive.answer_next(Answer(200, again), times=2)
    with pytest.raises(MalformedAnswer, match="next_url names a page that was read before"):
        await bars_of(rest, "AAPL", FRIDAY)
    assert [request.query for request in massive.requests[1:]] == ["cursor=1"]


async def test_without_a_key_nothing_is_asked(massive: FakeMassive) -> None:
    async with new_client(5, 5, GatedBackend(SourceGate.parse((massive.base,)))) as client:
        with pytest.raises(MassiveKeyMissing, match="set POLYGON_API_KEY"):
            await bars_of(MassiveRest(client, massive.base, None, no_wait), "AAPL", FRIDAY)
    assert massive.requests == []


async def test_no_connection_is_no_fault_of_the_job() -> None:
    base = "http://127.0.0.1:9"
    async with new_client(5, 5, GatedBackend(SourceGate.parse((base,)))) as client:
        with pytest.raises(SourceUnreachable):
            await bars_of(MassiveRest(client, base, SecretStr("k"), no_wait), "AAPL", FRIDAY)


async def test_a_snapshot_has_the_latest_minute_and_the_day_so_far(rest: MassiveRest) -> None:
    today = [bar for bar in MARKET.bars("AAPL", date(2026, 7, 1)) if bar.timestamp < NOON]
    ((found,), _, _) = await rest.snapshot("AAPL")
    assert found.day is not None
    assert found.previous_day is not None
    assert found.minute == today[-1]
    assert found.day.volume == pytest.approx(sum(bar.volume for bar in today))
    assert found.previous_day.close == MARKET.bars("AAPL", date(2026, 6, 30))[-1].close
    assert found.trade is not None


async def test_snapshots_of_a_cheaper_plan_lack_trade_and_quote(
    rest: MassiveRest, massive: FakeMassive
) -> None:
    massive.rest.has_trades = massive.rest.has_quotes = False
    ((found,), _, _) = await rest.snapshot("AAPL")
    assert (found.trade, found.quote) == (None, None)


async def test_snapshots_are_those_of_the_symbols_that_the_vendor_knows(
    rest: MassiveRest, massive: FakeMassive
) -> None:
    assert [found.symbol for found in (await rest.snapshots()).snapshots] == ["AAPL", "THIN"]
    assert [found.symbol for found in (await rest.snapshots(["THIN", "GONE"])).snapshots] == ["THIN"]
    assert [request.query for request in massive.requests] == ["", "tickers=THIN%2CGONE"]
    with pytest.raises(SymbolUnknown, match="does not know the symbol GONE"):
        await rest.snapshot("GONE")


def test_a_range_is_cut_into_months() -> None:
    assert list(months_of(DayRange(date(2025, 12, 30), date(2026, 3, 1)))) == [
        (date(2025, 12, 30), date(2025, 12, 31)),
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 3, 1), date(2026, 3, 1)),
    ]
    assert list(months_of(DayRange(date(2026, 3, 2), date(2026, 3, 1)))) == []
