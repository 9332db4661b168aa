"""``gexlake gaps``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

GAP = {
    "symbol": "BRK.B",
    "start": "2025-11-14T14:40:00+00:00",
    "end": "2025-11-14T14:44:00+00:00",
    "missing": 4,
    "status": "unfillable",
    "detected_at": "2025-11-15T00:00:00+00:00",
    "attempts": 2,
    "reason": "not in the plan",
}
LISTED = {"gaps": [GAP], "total_count": 3, "missing_minutes": 9, "truncated": True}
FOUND = {
    **dict.fromkeys(("symbols", "sessions", "detected", "resolved", "open", "fills_queued", "fills_left"), 2),
    "missing_minutes": 9,
    "seconds": 1.25,
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        fake.body = LISTED
        yield fake


def test_gaps_are_listed_with_start_end_count_and_age(say: Say, intake: FakeIntake) -> None:
    status, out, err = say("gaps", "BRK.B", "--status", "unfillable", "--limit", "1")
    row = next(line for line in out.splitlines() if "BRK.B" in line).split()
    assert (status, err) == (0, "gexlake: 1 of 3 gaps; --limit shows more\n")
    assert (row[:5], row[6:]) == (
        ["BRK.B", "2025-11-14", "09:40", "09:44", "4"],
        ["d", "unfillable", "2", "not", "in", "the", "plan"],
    )
    assert int(row[5]) > 0
    assert intake.asked[0][1] == "/api/v1/gaps?symbol=BRK.B&status=unfillable&limit=1"
    assert json.loads(say("gaps", "--json")[1]) == [GAP]


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((), {"symbols": [], "fill": True}),
        (
            ("AAPL", "--no-fill", "--first", "2025-01-02"),
            {"symbols": ["AAPL"], "fill": False, "first": "2025-01-02"},
        ),
    ],
)
def test_gaps_are_found_first_on_request(
    say: Say, intake: FakeIntake, options: tuple[str, ...], body: dict[str, Any]
) -> None:
    intake.body = {**FOUND, **LISTED, "gaps": []}
    status, out, err = say("gaps", *options, "--detect")
    assert (status, out) == (0, "no gaps\n")
    assert err == (
        "2 symbols, 2 sessions in 1.2 s: 2 new gaps, 2 ended, 2 open (9 minutes); 2 fills queued, "
        "2 left for later\n"
    )
    assert intake.asked[0] == ("POST", "/api/v1/gaps/detect", body)


def test_options_of_a_detection_need_one(say: Say, intake: FakeIntake) -> None:
    assert say("gaps", "--no-fill")[0] == 2
    assert intake.asked == []
