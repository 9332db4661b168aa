"""``gexlake sql`` on a real nats-server, with a stand-in of the importer's endpoint."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import nats
import pytest
from nats import micro
from nats.micro.request import Request

from gexlake.api import services
from gexlake.cli.__main__ import main
from simulator.nats_server import NatsServer, free_port

ANSWER = {
    "columns": [{"name": "ticker", "type": "VARCHAR"}, {"name": "rows", "type": "BIGINT"}],
    "rows": [["NQ_NDX", 2_340_000], ["a [bold] one", None]],
    "truncated": False,
    "seconds": 0.01,
}
Say = Callable[..., Awaitable[tuple[int, str, str]]]


@dataclass
class FakeLake:
    """Answers each query with ``answer``, with ``raw`` or with ``refusal``, when they are set."""

    raw: bytes | None = None
    answer: dict[str, Any] = field(default_factory=lambda: dict(ANSWER))
    refusal: tuple[str, str] | None = None
    silent: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: Request) -> None:
        self.asked.append(json.loads(request.data))
        if self.refusal:
            await request.respond_error(*self.refusal)
        elif not self.silent:
            await request.respond(json.dumps(self.answer).encode() if self.raw is None else self.raw)


@pytest.fixture
async def lake(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeLake]:
    fake = FakeLake()
    client = await nats.connect(nats_server.url)
    service = await micro.add_service(client, name="importer", version="0.1.0")
    await service.add_endpoint(name="sql", subject=services.SQL.subject, handler=fake.handle)
    await client.flush()
    monkeypatch.setenv("GEXLAKE_NATS_PORT", str(nats_server.port))
    yield fake
    await service.stop()
    await client.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run ``gexlake sql``; return its exit status, standard output and standard error."""

    def run(arguments: tuple[str, ...]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(("sql", *arguments))
        return int(ended.value.code or 0)

    async def in_thread(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(run, arguments)
        return status, *capsys.readouterr()

    return in_thread


async def test_a_query_is_sent_with_its_limits_and_shown_as_a_table(lake: FakeLake, say: Say) -> None:
    status, out, err = await say("select 'a', \"b\"", "--max-rows", "7", "--timeout", "2.5")
    assert (status, err) == (0, "")
    assert lake.asked == [{"query": "select 'a', \"b\"", "max_rows": 7, "timeout_s": 2.5}]
    header, _, first, second, *_ = out.splitlines()
    assert header.split() == ["ticker", "rows"]
    assert first.split() == ["NQ_NDX", "2340000"]
    assert "a [bold] one" in second
    assert "null" in second


@pytest.mark.usefixtures("lake")
async def test_json_is_one_array_of_objects(say: Say) -> None:
    _, out, _ = await say("select 1", "--format", "json")
    assert json.loads(out) == [
        {"ticker": "NQ_NDX", "rows": 2_340_000},
        {"ticker": "a [bold] one", "rows": None},
    ]


async def test_no_value_is_lost_to_a_column_name_that_comes_twice(lake: FakeLake, say: Say) -> None:
    lake.answer |= {"columns": [{"name": "n", "type": "INTEGER"}] * 3, "rows": [[1, 2, 3]]}
    assert json.loads((await say("select 1", "--format", "json"))[1]) == [{"n": 1, "n_1": 2, "n_2": 3}]


async def test_csv_has_a_header_and_keeps_commas_and_quotes(lake: FakeLake, say: Say) -> None:
    lake.answer |= {"rows": [['a,"b"\nc', [1, 2]], [None, 3]]}
    _, out, _ = await say("select 1", "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [["ticker", "rows"], ['a,"b"\nc', "[1, 2]"], ["", "3"]]


@pytest.mark.parametrize(
    ("max_rows", "limit"),
    [
        ("2", "--max-rows"),
        ("3", "an answer ends at about 900 kB, and at GEXLAKE_SQL_MAX_ROWS of the importer"),
    ],
)
async def test_omitted_rows_and_their_limit_are_reported_on_standard_error(
    lake: FakeLake, say: Say, max_rows: str, limit: str
) -> None:
    lake.answer |= {"truncated": True}
    status, out, err = await say("select 1", "--format", "json", "--max-rows", max_rows)
    assert status == 0
    assert len(json.loads(out)) == 2
    assert err == f"gexlake: only the first 2 rows are shown ({limit})\n"


async def test_a_refused_query_is_the_importers_words_in_one_line(lake: FakeLake, say: Say) -> None:
    lake.refusal = ("400", "only queries that read are answered, not DROP")
    assert await say("drop table x") == (
        1,
        "",
        "gexlake: only queries that read are answered, not DROP\n",
    )


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\xff", "no JSON"),
        (b"[1]", "response: "),
        (b"{}", "columns: Field required"),
        (json.dumps({**ANSWER, "columns": [{"name": "ticker"}]}).encode(), "columns.0.type: Field required"),
        (json.dumps({**ANSWER, "rows": [[1], [2, 3]]}).encode(), "a row has not one value for each column"),
        (json.dumps({**ANSWER, "rows": None}).encode(), "rows: "),
    ],
)
async def test_an_unreadable_response_is_reported_in_one_line(
    lake: FakeLake, say: Say, raw: bytes, what: str
) -> None:
    lake.raw = raw
    status, out, err = await say("select 1")
    assert (status, out) == (1, "")
    assert err.startswith("gexlake: the importer does not answer as gexlake does (")
    assert what in err
    assert err.endswith("is GEXLAKE_NATS_URL right?\n")
    assert err.count("\n") == 1


async def test_a_number_that_is_none_is_a_value_like_others(lake: FakeLake, say: Say) -> None:
    lake.raw = json.dumps({**ANSWER, "rows": [["SPX", float("nan")]]}).encode()
    assert (await say("select 1", "--format", "csv"))[1].splitlines()[1:] == ["SPX,nan"]


async def test_a_stopped_importer_is_reported(
    nats_url: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEXLAKE_NATS_URL", nats_url)
    status, _, err = await say("select 1")
    assert status == 1
    assert err.startswith("gexlake: the importer does not answer (is it running?)")
    assert err.count("\n") == 1


async def test_an_importer_that_hangs_is_not_waited_for_without_end(
    lake: FakeLake, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gexlake.cli.lake_client.GRACE_S", 0.1)
    lake.silent = True
    status, _, err = await say("select 1", "--timeout", "0.1")
    assert status == 1
    assert err.startswith("gexlake: the importer does not answer (waited 0.2 s)")


@pytest.mark.parametrize(
    "url", ["nats://127.0.0.1:{port}", "nonsense://127.0.0.1:{port}", "nats://a b:{port}"]
)
async def test_a_broker_that_is_not_there_is_one_line(
    say: Say, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("GEXLAKE_NATS_URL", url.format(port=free_port()))
    status, out, err = await say("select 1")
    assert (status, out) == (1, "")
    assert err.startswith("gexlake: NATS does not answer at")
    assert err.count("\n") == 1
