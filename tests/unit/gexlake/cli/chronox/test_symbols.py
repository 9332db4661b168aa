"""``gexlake symbols``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake


def a_symbol(symbol: str = "AAPL", **fields: Any) -> dict[str, Any]:
    times = {"created_at": "2025-11-14T12:00:00Z", "updated_at": "2025-11-14T12:00:00Z"}
    return {"symbol": symbol, "strategy": "flatpack", "status": "idle", "revision": 7, **times, **fields}


def outcomes(*rows: tuple[str, str]) -> dict[str, Any]:
    listed = [
        {"row": number, "symbol": symbol, "outcome": outcome, "message": "why"}
        for number, (symbol, outcome) in enumerate(rows, 1)
    ]
    counts = {name: sum(row[1] == name for row in rows) for name in ("added", "unchanged", "refused")}
    return {"rows": listed, **counts}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_list_shows_the_symbols_and_why_one_failed(say: Say, intake: FakeIntake) -> None:
    failed = a_symbol(
        "BRK.B", status="error", error_message="Rate limit", last_backfill="2025-11-14T12:00:00Z"
    )
    intake.body = {"symbols": [a_symbol(description="Apple"), failed], "total_count": 2}
    status, out, _ = say("symbols", "list", "--enabled", "--status", "error")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["AAPL", "flatpack", "idle", "Apple"] in rows
    assert ["BRK.B", "flatpack", "error", "2025-11-14", "12:00", "Rate", "limit"] in rows
    assert intake.asked[0][1] == "/api/v1/symbols?enabled_only=true&status=error"


def test_add_registers_one_symbol(say: Say, intake: FakeIntake) -> None:
    intake.body = outcomes(("AAPL", "added"))
    assert say("symbols", "add", "AAPL", "snapshot+stream", "--description", "Apple")[:2] == (
        0,
        "added: AAPL\n",
    )
    sent = {"symbol": "AAPL", "strategy": "snapshot+stream", "enabled": True, "description": "Apple"}
    assert intake.asked == [("POST", "/api/v1/symbols/bulk", {"symbols": [sent]})]


def test_add_takes_a_csv_file_and_fails_if_a_row_is_refused(
    say: Say, intake: FakeIntake, tmp_path: Path
) -> None:
    (tmp_path / "symbols.csv").write_text("Symbol,Strategy,Enabled\nAAPL,flatpack,\naapl,stream,false\n")
    intake.body = outcomes(("AAPL", "added"), ("aapl", "refused"))
    status, out, err = say("symbols", "add", "--csv", str(tmp_path / "symbols.csv"))
    assert (status, out, err) == (1, "1 added, 0 unchanged, 1 refused\n", "row 2, aapl: why\n")
    assert intake.asked[0][2]["symbols"] == [
        {"symbol": "AAPL", "strategy": "flatpack"},
        {"symbol": "aapl", "strategy": "stream", "enabled": "false"},
    ]


@pytest.mark.parametrize("content", [None, b"name\nAAPL\n", b"symbol,strategy\n\xff,stream\n"])
def test_add_names_a_file_that_cannot_be_read(
    say: Say, intake: FakeIntake, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "symbols.csv"
    if content is not None:
        path.write_bytes(content)
    status, _, err = say("symbols", "add", "--csv", str(path))
    assert status == 1
    assert f"{path} cannot be read" in err
    assert intake.asked == []


def test_add_wants_a_symbol_or_a_file(say: Say) -> None:
    assert say("symbols", "add")[0] == 2


@pytest.mark.parametrize(
    ("command", "method", "path", "body", "said"),
    [
        (["disable"], "PUT", "/status", {"status": "disabled"}, "disabled: AAPL (flatpack, idle)"),
        (["enable"], "PUT", "/status", {"status": "idle"}, "enabled: AAPL (flatpack, idle)"),
        (["strategy", "stream"], "PATCH", "", {"strategy": "stream"}, "changed: AAPL (flatpack, idle)"),
    ],
)
def test_a_symbol_is_changed(
    say: Say, intake: FakeIntake, command: list[str], method: str, path: str, body: Any, said: str
) -> None:
    intake.body = a_symbol()
    assert say("symbols", command[0], "AAPL", *command[1:])[:2] == (0, f"{said}\n")
    assert intake.asked == [(method, f"/api/v1/symbols/AAPL{path}", body)]


def test_show_and_remove_name_a_symbol_with_a_slash(say: Say, intake: FakeIntake) -> None:
    intake.body = a_symbol("BRK/B")
    status, out, _ = say("symbols", "show", "BRK/B")
    assert (status, json.loads(out)["symbol"]) == (0, "BRK/B")
    intake.status, intake.body = 204, ""
    assert say("symbols", "remove", "BRK/B")[:2] == (0, "removed: BRK/B\n")
    assert [asked[:2] for asked in intake.asked] == [
        ("GET", "/api/v1/symbols/BRK%2FB"),
        ("DELETE", "/api/v1/symbols/BRK%2FB"),
    ]
