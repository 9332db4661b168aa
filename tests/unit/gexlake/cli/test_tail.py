"""``gexlake tail``: what it prints, how it comes back, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from gexlake.api.live import LiveSnapshotView
from gexlake.cli.errors import CommandFailed, IntakeUnreachable, RequestRefused
from gexlake.cli.following import tail
from gexlake.cli.following.tail import line_of, live_events
from gexlake.cli.intake_client import Intake
from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

AWAY = IntakeUnreachable("http://127.0.0.1:8877", "refused")
BUSY = RequestRefused(503, "the stream of live snapshots is not read yet")
WRONG = RequestRefused(422, "no such endpoint")
SNAPSHOT = {
    "id": 17,
    "event": "snapshot",
    "received_at": "2025-11-14T15:00:01.2Z",
    "ticker": "SPX",
    "endpoint": "gex_zero",
    "timestamp": 1763132400000,
    "spot_price": 6734.114,
    "zero_gamma": 6712.5,
    "major_pos_vol": 6750.0,
    "sum_gex_vol": -12.34,
    "strikes": [[6730.0, -228.25, -86.5, [1, 2.5]]],
}
LINE = "10:00:00  SPX      gex_zero  spot 6734.11  zero 6712.50  +vol 6750  sum vol -12.3"


def start(place: int) -> ServerSentEvent:
    return ServerSentEvent(id=str(place), retry=1000)


def event(place: int) -> ServerSentEvent:
    return ServerSentEvent(event="snapshot", data=f'{{"id": {place}}}', id=str(place))


class Connections:
    """Streams of events, one after another; an error fails a connection, or breaks it."""

    def __init__(self, *streams: Any) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.reported: list[str] = []
        self.pauses: list[float] = []

    def connect(self, last_id: str) -> Iterator[ServerSentEvent]:
        self.asked.append(last_id)
        for each in self.streams.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each

    def ids(self, count: int, last_id: str = "") -> list[str]:
        events = live_events(self.connect, last_id, self.reported.append, self.pauses.append)
        return [each.id for each in islice(events, count)]


def test_a_lost_connection_goes_on_after_the_last_event_and_is_reported_once() -> None:
    connections = Connections(
        [start(16), event(17), event(18), AWAY],
        [AWAY],
        [BUSY],
        [start(18), event(19)],
        [start(19), event(20)],
    )
    assert connections.ids(4) == ["17", "18", "19", "20"]
    assert connections.asked == ["", "18", "18", "18", "19"]
    assert connections.reported == [
        "the stream broke off (refused); connecting again after event 18",
        "connected again",
        "the stream broke off (intake ended it); connecting again after event 19",
        "connected again",
    ]
    assert len(connections.pauses) == 4


def test_a_stream_that_broke_off_before_its_first_event_goes_on_where_it_began() -> None:
    connections = Connections([start(16), AWAY], [start(16), event(17)])
    assert connections.ids(1) == ["17"]
    assert connections.asked == ["", "16"]


def test_a_gap_is_reported() -> None:
    gap = ServerSentEvent(event="gap", data='{"message": "some are gone"}', id="4")
    connections = Connections([start(4), gap, event(5)])
    assert connections.ids(1, "2") == ["5"]
    assert (connections.asked, connections.reported) == (["2"], ["some are gone"])


@pytest.mark.parametrize("streams", [([AWAY],), ([BUSY],), ([start(1), AWAY], [WRONG])])
def test_it_fails_when_it_cannot_begin_or_may_not_go_on(streams: Any) -> None:
    with pytest.raises(CommandFailed):
        Connections(*streams).ids(1)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, LINE),
        (
            {"event": "majors", "spot_price": None, "zero_gamma": None, "major_neg_oi": 6600.5},
            "10:00:00  SPX      gex_zero  majors  +vol 6750  -oi 6600.5  sum vol -12.3",
        ),
    ],
)
def test_a_line_has_what_was_sent(changes: dict[str, Any], line: str) -> None:
    assert line_of(LiveSnapshotView.model_validate({**SNAPSHOT, **changes})) == line


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        fake.content_type = "text/event-stream"
        yield fake


def sse(*events: str) -> str:
    return "retry: 1000\nid: 16\n\n" + "".join(f"id: 17\ndata: {each}\n\n" for each in events)


@pytest.mark.parametrize(("options", "out"), [((), LINE), (("--json",), json.dumps(SNAPSHOT))])
def test_it_prints_a_line_an_event_and_connects_again(
    intake: FakeIntake, say: Say, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], out: str
) -> None:
    monkeypatch.setattr(tail, "RETRY_S", 0)
    intake.bodies = {"/gex/stream": [sse(json.dumps(SNAPSHOT)), sse()]}
    monkeypatch.setattr(tail, "_report", Interrupting())
    status, printed, _ = say("tail", "SPX", "--endpoint", "gex_zero", "--since-id", "5", *options)
    assert (status, printed) == (130, f"{out}\n")
    assert intake.asked[0][1] == "/gex/stream?ticker=SPX&endpoint=gex_zero"
    assert intake.last_event_ids == ["5", "17"]
    assert intake.accept == "text/event-stream"


class Interrupting:
    """Stands in for the report of a lost connection; presses Ctrl-C at the second one."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (sse("nonsense"), "text/event-stream", "an event is no JSON"),
        (sse('{"id": 17}'), "text/event-stream", "an event's timestamp"),
        ("{}", "application/json", "text/event-stream"),
    ],
)
def test_an_answer_that_is_no_stream_is_an_error(
    intake: FakeIntake, say: Say, body: str, content_type: str, problem: str
) -> None:
    intake.body, intake.content_type = body, content_type
    status, _, err = say("tail")
    assert status == 1
    assert problem in err


def test_a_refusal_is_an_error(intake: FakeIntake, say: Say) -> None:
    intake.status, intake.body = 422, {"error": {"field": "endpoint", "rule": "x", "message": "no such one"}}
    assert say("tail", "--endpoint", "gex_two") == (1, "", "gexlake: no such one\n")


def test_ctrl_c_ends_it(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[ServerSentEvent]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Intake, "live", interrupted)
    assert say("tail") == (130, "", "")
