"""A download ends early only for a newer request that can go on with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.fetcher.download import handover
from services.fetcher.download.handover import until_superseded, wait_for_older
from services.fetcher.download.partial_files import PartialFile
from shared.errors import BrokerUnavailable
from tests.support.values import a_job

JOB_ID = a_job().job_id


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "CHECK_INTERVAL_S", 0.01)


async def a_while() -> None:
    await asyncio.sleep(0.1)


async def forever() -> None:
    await asyncio.Event().wait()


async def superseded() -> bool:
    return True


async def no_broker() -> bool:
    raise BrokerUnavailable("read EVENTS")


async def test_a_superseded_download_that_can_be_resumed_is_stopped() -> None:
    assert not await until_superseded(forever(), lambda: True, superseded)


@pytest.mark.parametrize(("can_resume", "check"), [(False, superseded), (True, no_broker)])
async def test_any_other_download_runs_to_its_end(can_resume: bool, check: handover.Check) -> None:
    assert await until_superseded(a_while(), lambda: can_resume, check)


async def test_an_error_of_the_download_is_raised() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await until_superseded(broken(), lambda: True, superseded)


async def test_a_cancelled_fetch_cancels_its_download() -> None:
    was_cancelled = asyncio.Event()

    async def download() -> None:
        try:
            await forever()
        finally:
            was_cancelled.set()

    fetch = asyncio.create_task(until_superseded(download(), lambda: False, superseded))
    await asyncio.sleep(0.05)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert was_cancelled.is_set()


async def test_the_newer_request_waits_while_the_older_one_writes(tmp_path: Path) -> None:
    final = tmp_path / "folder" / "day.json"
    await wait_for_older(final, JOB_ID)
    older = PartialFile(final, JOB_ID, 1000)
    older.open()
    waiting = asyncio.create_task(wait_for_older(final, JOB_ID))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    older.release()
    await waiting
