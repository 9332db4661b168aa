"""When the janitor has jobs archived."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import pytest

from services.janitor.duties.archive_jobs import ArchiveConfig, ArchiveJobs
from services.janitor.duty import Every
from services.janitor.errors import ImporterUnavailable
from tests.support.values import NOON

CONFIG: Final = ArchiveConfig(after=timedelta(days=31), max_jobs=100, interval_s=86_400)


class Ledger:
    """Archives what it is given to archive; an answer that is an error is raised."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[datetime, int]] = []

    async def archive(self, before: datetime, max_jobs: int) -> int | None:
        self.asked.append((before, max_jobs))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


async def test_a_round_asks_until_no_job_is_left() -> None:
    ledger = Ledger(100, 100, 7, 0)
    assert await ArchiveJobs(CONFIG, ledger, Clock()).run_once() == {"archived": 207}
    assert ledger.asked == [(NOON - timedelta(days=31), 100)] * 4


@pytest.mark.parametrize("first", [None, ImporterUnavailable("the disk is full")])
async def test_an_importer_that_does_not_archive_is_asked_again_in_the_next_round(
    first: Exception | None,
) -> None:
    clock, ledger = Clock(), Ledger(first, 3, 0, 0)
    duty = ArchiveJobs(CONFIG, ledger, clock)
    if first is None:
        assert await duty.run_once() == {"archived": 0}
    else:
        with pytest.raises(ImporterUnavailable, match="the disk is full"):
            await duty.run_once()
    assert duty.trigger == Every(600)
    assert await duty.run_once() == {"archived": 3}
    clock.now += timedelta(seconds=86_399)
    assert await duty.run_once() == {"archived": 0}
    assert len(ledger.asked) == 3
    clock.now += timedelta(seconds=1)
    await duty.run_once()
    assert len(ledger.asked) == 4
