"""``gexlake sources``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

IDS = ("f663cb99-1111-5000-8000-000000000000", "11112222-1111-5000-8000-000000000000")


def a_source(source_id: str, host: str, **fields: Any) -> dict[str, Any]:
    return {
        "source_id": source_id,
        "base_url": f"https://{host}",
        "name": host,
        "circuit": "closed",
        "left_alone_until": None,
        "failures_in_a_row": 0,
        "last_error": None,
        "reliability_score": 0.975,
        "last_successful_fetch": None,
        "total_requests": 40,
        "successful_requests": 39,
        "average_response_time": "PT0.25S",
        "is_active": True,
        "deactivated_at": None,
        "deactivated_by": None,
        **fields,
    }


OFF = {"is_active": False, "deactivated_at": "2025-11-14T12:00:00Z", "deactivated_by": "key:ba7816bf"}
SOURCES = [a_source(IDS[0], "hist.gex.bot"), a_source(IDS[1], "old.test", name="Archive", **OFF)]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.bodies["/api/v1/sources"] = [{"sources": SOURCES, "total_count": 2}]
        for source in SOURCES:
            fake.bodies[f"/api/v1/sources/{source['source_id']}"] = [source]
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_list_shows_which_sources_are_requested(intake: FakeIntake, say: Say) -> None:
    status, out, _ = say("sources", "list", "--active")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0
    assert "f663cb99 https://hist.gex.bot hist.gex.bot yes 97.5% 40 0.25 s" in rows
    assert "11112222 https://old.test Archive no, by key:ba7816bf 97.5% 40 0.25 s" in rows
    assert intake.asked[0][:2] == ("GET", "/api/v1/sources?active_only=true")


@pytest.mark.parametrize("text", ["https://hist.gex.bot/", "hist.gex.bot", "F663cb99"])
def test_a_source_is_deactivated_by_address_host_or_id(intake: FakeIntake, say: Say, text: str) -> None:
    status, out, _ = say("sources", "deactivate", text)
    assert (status, out) == (0, f"deactivated: source https://hist.gex.bot ({IDS[0]})\n")
    assert intake.asked[-1] == ("PATCH", f"/api/v1/sources/{IDS[0]}", {"is_active": False})


def test_a_source_is_activated_by_its_name(intake: FakeIntake, say: Say) -> None:
    status, out, _ = say("sources", "activate", "archive", "--json")
    assert (status, json.loads(out)["source_id"]) == (0, IDS[1])
    assert intake.asked[-1] == ("PATCH", f"/api/v1/sources/{IDS[1]}", {"is_active": True})


@pytest.mark.usefixtures("intake")
def test_an_unknown_source_is_refused(say: Say) -> None:
    status, _, error = say("sources", "activate", "new.test")
    assert (status, "no source is called 'new.test'" in error) == (1, True)
