"""What commands print on a terminal of 80 columns: every line fits, and every word is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from rich.text import Text

from gexlake.cli.__main__ import main
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake
from tests.support.gexlake.responses import id_of, job_of, page_of

WIDTH: Final = 80
ID: Final = "6f2f5b1e-1111-5000-8000-000000000000"
NEIGHBOUR: Final = "6f2f5b1e-2222-5000-8000-000000000000"
LONG: Final = {
    "ticker": "NQ_NDX",
    "endpoint": "state_gamma_zero",
    "trading_day": "2025-11-14",
    "state": "completed",
    "bytes_fetched": 148_861_861,
    "strike_rows": 2_340_000,
}
BEAT: Final = {
    "instance": "3f0c2d9a7b1e",
    "version": "0.1.0",
    "at": "2026-11-28T12:11:38.455598Z",
    "age_s": 2.096,
    "busy": 0,
    "started_at": "2026-11-28T12:11:33.453321Z",
}
SOURCE: Final = {
    "base_url": "https://hist.gex.bot",
    "circuit": "open",
    "left_alone_until": "2026-11-28T12:11:33.453321Z",
    "failures_in_a_row": 5,
    "last_error": "https://hist.gex.bot answered 503 for the fifth time",
}
Lines = Callable[..., list[str]]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Run a command on a terminal of 80 columns; return the lines, without colours."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERM", "xterm")

    def run(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        with pytest.raises(SystemExit):
            main(arguments)
        return [Text.from_ansi(line).plain for line in capsys.readouterr().out.splitlines()]

    return run


def words(lines: list[str]) -> list[str]:
    """Return lines with one blank between two words."""
    return [" ".join(line.split()) for line in lines]


def jobs_with(endpoint: str) -> dict[str, Any]:
    return page_of(
        *(job_of(**{**LONG, "id": each, "endpoint": endpoint}) for each in (ID, NEIGHBOUR, id_of(1)))
    )


def test_jobs_have_as_much_of_the_id_as_tells_them_apart(intake: FakeIntake, lines: Lines) -> None:
    intake.body = jobs_with("gex_zero")
    shown = lines("jobs")
    assert len(shown[1:]) == 3
    assert max(map(len, shown)) <= WIDTH
    assert words(shown)[1:3] == [
        f"{short} NQ_NDX gex_zero 2025-11-14 completed 148.9 MB 2,340,000 11-14 21:00"
        for short in ("6f2f5b1e-1", "6f2f5b1e-2")
    ]


def test_jobs_leave_out_the_last_column_before_a_word_is_broken(intake: FakeIntake, lines: Lines) -> None:
    intake.body = jobs_with("state_gamma_zero")
    shown = lines("jobs")
    assert max(map(len, shown)) <= WIDTH
    row = "6f2f5b1e-1 NQ_NDX state_gamma_zero 2025-11-14 completed 148.9 MB 11-14 21:00"
    assert words(shown)[1] == row


def test_jobs_of_bars_have_their_rows_beside_those_of_strikes(intake: FakeIntake, lines: Lines) -> None:
    bars = {"ticker": "MTBpC", "endpoint": "ohlcv_1m", "state": "completed", "rows": 8190}
    intake.body = page_of(job_of(**{**LONG, "id": ID, "endpoint": "gex_zero"}), job_of(**bars, id=NEIGHBOUR))
    shown = words(lines("jobs"))
    assert shown[0] == "id ticker endpoint day state size rows asked (UTC)"
    assert "148.9 MB 2,340,000" in shown[1]
    assert shown[2] == "6f2f5b1e-2 MTBpC ohlcv_1m completed 8,190 11-14 21:00"


def test_wide_jobs_have_whole_ids_and_every_column(intake: FakeIntake, lines: Lines) -> None:
    intake.body = jobs_with("state_gamma_zero")
    first = lines("jobs", "--wide")[1]
    assert first.startswith(ID)
    assert "2,340,000" in first


def test_the_status_fits(intake: FakeIntake, lines: Lines) -> None:
    services = ("fetcher", "importer", "intake", "janitor")
    intake.body = {"version": "0.1.0", "services": {name: [BEAT] for name in services}, "sources": [SOURCE]}
    shown = lines("status")
    assert max(map(len, shown)) <= WIDTH
    assert "fetcher 3f0c2d9a7b1e 0.1.0 2026-11-28 12:11:38 2.096 0 2026-11-28 12:11:33" in words(shown)
    assert f"last error {SOURCE['last_error']}" in words(shown)


def test_a_backfill_fits(intake: FakeIntake, lines: Lines) -> None:
    standings = ("planned", "queued", "under_way", "held", "no_data")
    intake.body = {
        "dry_run": False,
        "counts": dict.fromkeys(standings, 1),
        "days": [
            {
                "ticker": "NQ_NDX",
                "endpoint": "state_gamma_zero",
                "trading_day": "2025-11-14",
                "standing": standing,
                "id": None,
            }
            for standing in standings
        ],
        "closed": [],
        "early_closes": [],
        "warnings": [],
    }
    shown = lines("backfill", "NQ_NDX", "state_gamma_zero", "2025-11-14", "2025-11-14", "--no-wait")
    assert max(map(len, shown)) <= WIDTH
    assert words(shown)[::2] == [
        "ticker endpoint days planned queued under way held no data",
        "NQ_NDX state_gamma_zero 5 1 1 1 1 1",
    ]
