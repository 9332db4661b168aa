"""What is said while a followed job waits."""

from __future__ import annotations

from typing import Any

from gexlake.cli.answers import read_job
from gexlake.cli.errors import IntakeUnreachable
from gexlake.cli.following.waiting import CHECK_INTERVAL_S, WaitingNotices
from tests.support.gexlake.responses import job_of

GONE = "no fetcher has been seen for 25 s; the job waits for it"


def status_of(**ages_s: float) -> dict[str, Any]:
    return {"services": {service: [{"age_s": age_s}] for service, age_s in ages_s.items()}}


class Watched:
    """A job that is looked at, and what is said of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.status: dict[str, Any] | None = status_of(fetcher=1.0)
        self.asked = 0
        self.said: list[str] = []
        self.notices = WaitingNotices(self._status, self.said.append, lambda: self.now)

    def _status(self) -> dict[str, Any]:
        self.asked += 1
        if self.status is None:
            raise IntakeUnreachable("http://127.0.0.1:8877", "refused")
        return self.status

    def looks(self, times: int = 1, **changes: Any) -> list[str]:
        """Look at the job every few seconds; return all that was said so far."""
        for _ in range(times):
            self.notices(read_job(job_of(**changes)))
            self.now += CHECK_INTERVAL_S
        return self.said


def test_a_silent_service_is_named_once_and_when_it_is_back() -> None:
    watched = Watched()
    assert watched.looks(3) == []
    watched.status = status_of(fetcher=25.0, importer=1.0)
    assert watched.looks(3) == [GONE]
    watched.status = status_of(fetcher=0.5)
    assert watched.looks(2) == [GONE, "the fetcher is there again"]


def test_a_service_that_intake_has_never_seen_is_silent_after_a_while() -> None:
    watched = Watched()
    watched.status = status_of(fetcher=1.0)
    assert watched.looks(4, stage="import", state="staged") == []
    (line,) = watched.looks(4, stage="import", state="staged")
    assert line.startswith("no importer has been seen for 20 s")


def test_one_of_several_fetchers_suffices() -> None:
    watched = Watched()
    watched.status = status_of(fetcher=25.0)
    watched.status["services"]["fetcher"] += status_of(fetcher=2.0)["services"]["fetcher"]
    assert watched.looks(4) == []


def test_a_job_that_moves_on_needs_no_look_at_the_services() -> None:
    watched = Watched()
    for number in range(5):
        watched.looks(state="started", bytes_fetched=number)
    assert watched.asked == 0


def test_each_new_reason_is_said_and_an_intake_that_is_away_is_not() -> None:
    watched = Watched()
    watched.status = None
    watched.looks(2, error="hist.gex.bot could not be reached")
    watched.looks(1, error="its circuit is open")
    assert watched.looks(1, state="failed", error="gone") == [
        "the job waits: hist.gex.bot could not be reached",
        "the job waits: its circuit is open",
    ]
