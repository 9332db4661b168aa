"""Asking for history by date over HTTP, on a real nats-server, with a stand-in of the importer's endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gexlake.api.jobs import Priority, Stage
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, JobFailed, JobReplayed, NoData
from shared.bus.reports.presence import announce_service
from shared.gexbot.vendor_api import DEFAULT_BASE
from tests.support.intake.fake_importer import FakeImporter, fake_importer
from tests.support.intake.running import RunningIntake, all_events, messages_in, payload_at, running_intake
from tests.support.poll import eventually
from tests.support.values import a_job, a_skip, url_of

WEEK = {"ticker": "NQ_NDX", "endpoint": "gex_zero", "start": "2025-11-10", "end": "2025-11-14"}


@pytest.fixture
async def importer(bus: Bus) -> AsyncIterator[FakeImporter]:
    async with fake_importer(bus) as fake:
        yield fake


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        yield running


async def backfill(intake: RunningIntake, status: int = 200, **changes: Any) -> Any:
    answer = await intake.http.post("/backfill", json={**WEEK, **changes})
    assert answer.status_code == status, answer.text
    return answer.json()


def standings(answer: Any) -> dict[str, str]:
    return {day["trading_day"]: day["standing"] for day in answer["days"]}


async def fetch_at(bus: Bus, sequence: int) -> FetchFile:
    command = await payload_at(bus, subjects.JOBS, sequence)
    assert isinstance(command, FetchFile)
    return command


async def test_every_missing_day_becomes_one_job_and_the_others_are_left_out(
    bus: Bus, importer: FakeImporter, intake: RunningIntake
) -> None:
    importer.days = {"2025-11-11": "held", "2025-11-12": "no_data"}
    answer = await backfill(intake)
    assert standings(answer) == {
        "2025-11-10": "queued",
        "2025-11-11": "held",
        "2025-11-12": "no_data",
        "2025-11-13": "queued",
        "2025-11-14": "queued",
    }
    assert answer["counts"] == {"planned": 0, "queued": 3, "under_way": 0, "held": 1, "no_data": 1}
    assert await messages_in(bus, subjects.JOBS) == 3
    commands = [await fetch_at(bus, number) for number in (1, 2, 3)]
    urls = {url_of(command) for command in commands}
    days = ("2025-11-10", "2025-11-13", "2025-11-14")
    assert urls == {f"{DEFAULT_BASE}/hist/NQ_NDX/classic/gex_zero/{day}?noredirect" for day in days}
    assert {command.job.priority for command in commands} == {Priority.LOW}
    ids = {day["id"] for day in answer["days"] if day["standing"] == "queued"}
    assert ids == {str(command.job.job_id) for command in commands}
    assert {job["id"] for job in (await intake.get("/jobs"))["jobs"]} == ids
    (asked,) = importer.asked
    assert asked["tickers"] == ["NQ_NDX"]
    assert asked["days"][0] == "2025-11-10"


async def test_a_dry_run_tells_the_plan_with_its_holidays_and_queues_nothing(
    bus: Bus, importer: FakeImporter, intake: RunningIntake
) -> None:
    answer = await backfill(intake, dry_run=True, start="2025-11-26", end="2025-11-28")
    assert (answer["dry_run"], standings(answer)) == (
        True,
        {"2025-11-26": "planned", "2025-11-28": "planned"},
    )
    assert answer["closed"] == [{"day": "2025-11-27", "why": "Thanksgiving Day"}]
    assert [named["day"] for named in answer["early_closes"]] == ["2025-11-28"]
    assert any("the vendor keeps 90 days" in warning for warning in answer["warnings"])
    assert importer.asked
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_asked_again_it_queues_only_what_failed_and_what_is_missing(
    bus: Bus, importer: FakeImporter, intake: RunningIntake
) -> None:
    first = await backfill(intake)
    jobs = {day["trading_day"]: day["id"] for day in first["days"]}
    commands = [await fetch_at(bus, number) for number in range(1, 6)]
    by_day = {str(command.job.trading_day): command.job for command in commands}
    failed = JobFailed(
        job=by_day["2025-11-10"], stage=Stage.FETCH, failures=3, final=True, error="the key was rejected"
    )
    await bus.publish_event(failed)
    await bus.publish_event(NoData(job=by_day["2025-11-11"], reason="the vendor has none"))
    importer.days = {"2025-11-12": "held"}

    async def told() -> bool:
        found = await intake.get("/jobs")
        return {job["state"] for job in found["jobs"]} == {"pending", "failed", "skipped"}

    await eventually(told)
    again = await backfill(intake)
    assert standings(again) == {
        "2025-11-10": "queued",
        "2025-11-11": "no_data",
        "2025-11-12": "held",
        "2025-11-13": "under_way",
        "2025-11-14": "under_way",
    }
    assert {day["trading_day"]: day["id"] for day in again["days"] if day["id"]} == {
        day: jobs[day] for day in ("2025-11-10", "2025-11-13", "2025-11-14")
    }
    assert await messages_in(bus, subjects.JOBS) == 6
    assert (await fetch_at(bus, 6)).job.generation == 2


async def test_a_job_that_ends_while_the_importer_answers_is_not_queued_again(
    bus: Bus, importer: FakeImporter, intake: RunningIntake
) -> None:
    """The importer has looked before the job was done, and the job is done before intake looks."""
    (day,) = (await backfill(intake, start="2025-11-14"))["days"]
    done = a_skip((await fetch_at(bus, 1)).job)

    async def end_the_job() -> None:
        await bus.publish_event(done)

        async def is_told() -> bool:
            return bool((await intake.get(f"/jobs/{day['id']}"))["state"] == "skipped")

        await eventually(is_told)

    importer.before_answer = end_the_job
    again = await backfill(intake, start="2025-11-14")
    assert standings(again) == {"2025-11-14": "under_way"}
    assert again["days"][0]["id"] == day["id"]
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_force_asks_for_all_days_and_needs_no_importer(bus: Bus, intake: RunningIntake) -> None:
    answer = await backfill(intake, force=True, reason="the vendor corrected them", priority="high")
    assert set(standings(answer).values()) == {"queued"}
    command = await fetch_at(bus, 1)
    assert (command.force, command.reason) == (True, "the vendor corrected them")
    assert command.job.priority is Priority.HIGH
    again = await backfill(intake, force=True, reason="the vendor corrected them", priority="high")
    assert set(standings(again).values()) == {"under_way"}
    assert await messages_in(bus, subjects.JOBS) == 5


async def test_a_range_without_trading_days_sends_no_requests(intake: RunningIntake) -> None:
    answer = await backfill(intake, start="2025-11-15", end="2025-11-16")
    assert (answer["days"], answer["closed"]) == ([], [])


async def test_a_thousand_days_are_queued_at_once(
    bus: Bus, importer: FakeImporter, intake: RunningIntake
) -> None:
    tickers = [f"T{number}" for number in range(200)]
    answer = await backfill(intake, ticker=tickers)
    assert importer.asked
    assert answer["counts"]["queued"] == 1000
    assert await messages_in(bus, subjects.JOBS) == 1000


async def test_without_the_importer_nothing_is_queued_and_the_answer_says_so(
    bus: Bus, intake: RunningIntake
) -> None:
    error = (await backfill(intake, 503))["error"]
    assert error["rule"] == "importer"
    assert "the importer does not say which days the lake holds (is it running?)" in error["message"]
    assert await messages_in(bus, subjects.JOBS) == 0


@pytest.mark.parametrize(
    ("refusal", "raw", "words"),
    [
        (("503", "the disk is full"), None, "the disk is full"),
        (None, b"{}", "cannot be read"),
        (None, b'{"days": [], "truncated": true}', "cannot be read"),
    ],
)
async def test_an_importer_that_gives_no_whole_answer_is_as_good_as_none(
    bus: Bus,
    importer: FakeImporter,
    intake: RunningIntake,
    refusal: tuple[str, str] | None,
    raw: bytes | None,
    words: str,
) -> None:
    importer.refusal, importer.raw = refusal, raw
    error = (await backfill(intake, 503))["error"]
    assert error["rule"] == "importer"
    assert words in error["message"]
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_what_breaks_a_rule_is_refused_by_its_field(intake: RunningIntake) -> None:
    error = (await backfill(intake, 422, start="2025-11-31"))["error"]
    assert (error["field"], error["message"]) == (
        "start",
        "start: '2025-11-31' is not a day: write it like 2025-11-14",
    )


@pytest.mark.parametrize("allowed", ["https://hist.gex.bot/", "https://hist.gex.bot/,https://api.gex.bot/"])
async def test_a_client_cannot_post_a_url_of_the_api_that_the_key_goes_to(
    bus: Bus, nats_url: str, allowed: str
) -> None:
    """Only intake's own hand writes such a URL, even where the API is listed among the sources."""
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, allowed_sources=tuple(allowed.split(",")))
    async with running_intake(settings) as intake:
        for host in ("api.gex.bot", "api.gex.bot.evil.example"):
            url = f"https://{host}/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14?noredirect"
            answer = await intake.post({"url": url, "ticker": "NQ_NDX", "endpoint": "gex_zero"})
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "url")
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_the_address_of_the_api_is_a_setting(bus: Bus, nats_url: str, importer: FakeImporter) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, vendor_api="http://127.0.0.1:9/v2/")
    async with running_intake(settings) as intake:
        await backfill(intake, start="2025-11-14")
    url = url_of(await fetch_at(bus, 1))
    assert url == "http://127.0.0.1:9/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14?noredirect"
    assert len(await all_events(bus)) == len(importer.asked) == 1


@pytest.mark.usefixtures("importer")
async def test_a_day_whose_command_is_gone_is_replayed_all_the_same(bus: Bus, intake: RunningIntake) -> None:
    answer = await backfill(intake, end="2025-11-10")
    before = await fetch_at(bus, 1)
    await bus.js.purge_stream(subjects.JOBS)
    replayed = await intake.http.post(f"/jobs/{answer['days'][0]['id']}/replay")
    assert replayed.status_code == 200, replayed.text
    again = await fetch_at(bus, replayed.json()["command_seq"])
    assert (url_of(again), again.job.generation) == (url_of(before), 2)


async def test_a_day_of_which_too_little_is_known_is_to_be_asked_for_again(
    bus: Bus, intake: RunningIntake
) -> None:
    """EVENTS was full and has dropped that it was requested; nobody can post such a URL."""
    job = a_job(base_url=f"{DEFAULT_BASE}/hist/NQ_NDX/classic/gex_zero/2025-11-14")
    await bus.publish_event(JobReplayed(job=job, stage=Stage.FETCH, replay_of="job", command_seq=7))
    path = f"/jobs/{job.job_id}"

    async def is_known() -> bool:
        return (await intake.http.get(path)).status_code == 200

    await eventually(is_known)
    refused = await intake.http.post(f"{path}/replay")
    assert refused.status_code == 404
    assert "ask for the backfill again" in refused.json()["error"]["message"]


@pytest.mark.usefixtures("importer")
async def test_a_backfill_that_no_fetcher_has_a_key_for_is_refused(bus: Bus, intake: RunningIntake) -> None:
    async def is_heard() -> bool:
        return "fetcher" in (await intake.get("/status"))["services"]

    async with announce_service(bus, "fetcher", "has no key", has_vendor_key=False):
        await eventually(is_heard)
        answer = await backfill(intake, dry_run=True)
        refusal = await backfill(intake, 409)
    assert any("no GEXBOT_API_KEY in the fetcher" in warning for warning in answer["warnings"])
    assert refusal["error"]["rule"] == "vendor_key"
    assert "set GEXBOT_API_KEY" in refusal["error"]["message"]
    assert await messages_in(bus, subjects.JOBS) == 0, "no day is queued that would fail"
