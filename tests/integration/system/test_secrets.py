"""No key and no signed query leaks: everything in the whole system fails, and all its output is searched.

Every secret contains the same mark, which is found nowhere: commands hold signed URLs encrypted. Words that
stand beside them show that the search works.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from simulator.generator import Day
from simulator.stack import NATS, Stack
from simulator.vendor import Fault, Vendor
from simulator.vendor_api import FakeVendorApi
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.system.captured import CapturedText, capturing
from tests.support.system.running import WITHIN_S, System

pytestmark = pytest.mark.slow

MARK: Final = "S3CRET"
QUERY: Final = f"sig={MARK}sig%2Bwith'quote&se=2025-11-14"
CLIENT_KEY: Final = f"{MARK}-client-key"
VENDOR_KEY: Final = f"gexbot_custom_{MARK}vendor"
ELSEWHERE: Final = f"https://elsewhere.test/day.json?{QUERY}"
DAY_URL: Final = "https://hist.gex.bot/day.json"
SETTINGS: Final = {
    "GEXLAKE_API_KEYS": CLIENT_KEY,
    "GEXBOT_API_KEY": VENDOR_KEY,
    "GEXLAKE_LOG_LEVEL": "DEBUG",
    "GEXLAKE_ACK_WAIT_S": "2",
    "GEXLAKE_RETRY_DELAY_S": "0.1",
    "GEXLAKE_MAX_ATTEMPTS": "2",
    "GEXLAKE_MAX_FILE_BYTES": "200000",
    "GEXLAKE_FETCH_READ_TIMEOUT_S": "2",
    "GEXLAKE_SOURCE_MAX_FAILURES": "3",
    "GEXLAKE_SOURCE_PAUSE_S": "0.2",
    "GEXLAKE_SOURCE_LONGEST_PAUSE_S": "0.4",
}
BAD_ANSWERS: Final = {
    "503": Fault(status=503),
    "429": Fault(status=429),
    "403": Fault(status=403),
    "404": Fault(status=404),
    "418": Fault(status=418),
    "cut": Fault(cut_after_bytes=100),
    "silent": Fault(hold_after_bytes=100),
    "no HTTP": Fault(raw_response=f"{ELSEWHERE}\r\n\r\n".encode()),
    "a status that repeats the query": Fault(raw_response=f"HTTP/1.1 418 {QUERY}\r\n\r\n".encode()),
    "a type that repeats the query": Fault(content_type=f"text/html; {QUERY}"),
    "an encoding that repeats the query": Fault(headers={"Content-Encoding": QUERY}),
    "leads elsewhere": Fault(redirect_to=ELSEWHERE),
    "leads inside": Fault(redirect_to=f"http://169.254.169.254/latest?{QUERY}"),
    "leads nowhere": Fault(redirect_to=f"//[::1?{QUERY}"),
    "carries a user": Fault(redirect_to=f"https://user:{MARK}@hist.gex.bot/day.json"),
}
BAD_CONTENTS: Final = {
    "a page that repeats the URL": f"<html>{DAY_URL}?{QUERY}</html>".encode(),
    "an error that repeats the URL": f'{{"error": "{DAY_URL}?{QUERY}"}}'.encode(),
    "records that repeat the URL": f'[{{"ticker": "{DAY_URL}?{QUERY}"}}]'.encode(),
    "broken JSON": f'[{{"timestamp": 1, "{DAY_URL}?{QUERY}'.encode(),
    "compressed": gzip.compress(b"[]"),
    "empty": b"",
    "too large": b"[" + b" " * 200_000 + b"]",
}
BAD_BODIES: Final[tuple[dict[str, Any], ...]] = (
    {"url": ELSEWHERE},
    {"url": f"https://user:{MARK}@hist.gex.bot/day.json"},
    {"url": f"https://hist.gex.bot/day.exe?{QUERY}"},
    {"url": f"https://hist.gex.bot:99999/day.json?{QUERY}"},
    {"url": f"https://hist.gex.bot/../day.json?{QUERY}"},
    {"url": f"ftp://hist.gex.bot/day.json?{QUERY}"},
    {"url": f"file:///etc/day.json?{QUERY}"},
    {"url": f"see {DAY_URL} day.json?{QUERY}"},
    {"url": DAY_URL, "endpoint": ELSEWHERE},
    {"url": DAY_URL, "endpoint": "gex_zero", "ticker": ELSEWHERE},
    {"url": DAY_URL, "endpoint": "gex_zero", "ticker": "SPX", "priority": ELSEWHERE},
)
A_DAY: Final = date(2025, 9, 2)


class MarkedApi(FakeVendorApi):
    """The vendor's API, whose signatures contain the mark."""

    def _signature(self, name: str, until: str) -> str:
        return MARK + super()._signature(name, until)


@dataclass
class Scene:
    """The system, a vendor of posted URLs, one whose API signs URLs, and all captured text."""

    system: System
    api: MarkedApi
    captured: CapturedText
    client: httpx.AsyncClient

    async def post(self, day: Day, **more: Any) -> str:
        """Post a day until it is accepted, and return its job's id."""
        body = {"url": self.system.vendor.url_of(day.file_name, QUERY), **more}

        async def accepted() -> str:
            answer = await self.client.post("/gex_history_url", json=body)
            return str(answer.json()["id"]) if answer.is_success else ""

        return await eventually(accepted, within_s=WITHIN_S, what=day.file_name)

    async def finished(self, job_id: str) -> str:
        """Wait until a job is finished and return its state."""

        async def look() -> str:
            answer = await self.client.get(f"/jobs/{job_id}")
            state = str(answer.json().get("state"))
            return state if state in {"completed", "skipped", "failed"} else ""

        return await eventually(
            look, within_s=WITHIN_S, what=lambda: f"{job_id}\n{self.system.stack.tails()}"
        )

    async def backfill(self, endpoint: str) -> str:
        """Backfill a day and return the state that its job ends in."""
        body = {"ticker": "NQ_NDX", "endpoint": endpoint, "days": [A_DAY.isoformat()]}
        (day,) = (await self.client.post("/backfill", json=body)).json()["days"]
        return await self.finished(day["id"])


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[System, MarkedApi]]:
    posted, signed = tmp_path / "posted", tmp_path / "signed"
    posted.mkdir()
    signed.mkdir()
    with Vendor(posted) as vendor, Vendor(signed) as other, MarkedApi(other, key=VENDOR_KEY) as api:
        settings = {
            **SETTINGS,
            "GEXLAKE_ALLOWED_SOURCES": f"{vendor.base_url},{other.base_url}",
            "GEXLAKE_VENDOR_API": api.base,
            "GEXLAKE_LOG_DIR": str(tmp_path / "stack" / "data" / "logs"),
        }
        with Stack(tmp_path / "stack", env=settings) as stack:
            yield System(stack, vendor, posted), api


@contextlib.asynccontextmanager
async def scene_on(stage: tuple[System, MarkedApi], captured: CapturedText) -> AsyncIterator[Scene]:
    system, api = stage
    async with httpx.AsyncClient(
        base_url=system.stack.url,
        headers={"X-API-Key": CLIENT_KEY},
        event_hooks={"response": [captured.add_response]},
        trust_env=False,
        timeout=10,
    ) as client:
        yield Scene(system, api, captured, client)


async def test_no_key_and_no_signed_query_leaks_when_everything_fails(
    stage: tuple[System, MarkedApi],
) -> None:
    async with capturing(stage[0].stack) as captured, scene_on(stage, captured) as scene:
        assert await post_what_fails(scene) == {"failed"}
        await open_the_circuit(scene)
        await backfill_from_the_api(scene)
        await kill_processes(scene)
        await send_bad_requests(scene)
        await read_every_route(scene)
        await use_the_command_line(scene)
    failed = len(BAD_ANSWERS) + len(BAD_CONTENTS)
    for place in ("stream JOBS", "stream DEAD"):
        assert captured.texts[place].count('"encrypted_url"') > failed
    assert captured.finds("encrypted_url")[0].startswith("broker's ")
    assert captured.finds("source_circuit_opened")
    assert captured.finds(MARK) == []


async def post_what_fails(scene: Scene) -> set[str]:
    """Post a file for every wrong response of the vendor, and return the jobs' states."""
    jobs = []
    for behaviour in BAD_ANSWERS.values():
        day = scene.system.new_day()
        scene.system.vendor.inject_fault(day.file_name, behaviour)
        jobs.append(await scene.post(day))
    for content in BAD_CONTENTS.values():
        day = scene.system.new_day()
        scene.system.offer(day, content)
        jobs.append(await scene.post(day, force=True, reason=f"as in {ELSEWHERE}"))
    jobs.append(await scene.post(scene.system.new_day(), raw_body='[{"timestamp": 1}]'))
    return set(await asyncio.gather(*(scene.finished(job_id) for job_id in jobs)))


async def open_the_circuit(scene: Scene) -> None:
    """Post files that are answered 503 one after another: more failures in a row than open the circuit."""
    jobs = 1 + int(SETTINGS["GEXLAKE_SOURCE_MAX_FAILURES"]) // int(SETTINGS["GEXLAKE_MAX_ATTEMPTS"])
    for _ in range(jobs):
        day = scene.system.new_day()
        scene.system.vendor.inject_fault(day.file_name, Fault(status=503))
        assert await scene.finished(await scene.post(day)) == "failed"


async def backfill_from_the_api(scene: Scene) -> None:
    """Backfill days: one that exists, one that fails, one expired, one without data, one with a wrong key."""
    days = {each: Day("NQ_NDX", each, A_DAY, 30, 5, seed=1) for each in ("gex_zero", "gex_one", "gex_full")}
    for day in days.values():
        day.write(scene.api.vendor.folder / day.file_name)
    scene.api.vendor.inject_fault(days["gex_one"].file_name, Fault(status=503))
    assert await scene.backfill("gex_zero") == "completed"
    assert await scene.backfill("gex_one") == "failed"
    scene.api.expire_next = 10
    assert await scene.backfill("gex_full") == "failed"
    assert await scene.backfill("state_gex_full") == "skipped"
    scene.system.stack.stop_service("fetcher")
    scene.system.stack.start_service("fetcher", {"GEXBOT_API_KEY": f"gexbot_custom_{MARK}wrong"})
    assert await scene.backfill("state_gex_one") == "failed"
    scene.api.expire_next = 0


async def kill_processes(scene: Scene) -> None:
    """Kill the fetcher during a download, the importer during an import, and the broker."""
    system = scene.system
    for service, failpoint in (("fetcher", "fetcher.downloading"), ("importer", "importer.loaded")):
        await system.restart(service, failpoint)
        job_id = await scene.post(system.new_day())
        await asyncio.to_thread(system.stack.wait_exit, service)
        await system.restart(service)
        assert await scene.finished(job_id) == "completed"
    system.stack.kill(NATS)
    await scene.client.post("/gex_history_url", json={"url": system.vendor.url_of("day.json", QUERY)})
    system.stack.start_service(NATS)
    await asyncio.to_thread(system.stack.wait_ready)
    assert await scene.finished(await scene.post(system.new_day())) == "completed"


async def send_bad_requests(scene: Scene) -> None:
    for body in BAD_BODIES:
        assert (await scene.client.post("/gex_history_url", json=body)).status_code == 422
    assert (await scene.client.post("/backfill", json={"ticker": ELSEWHERE})).status_code == 422
    assert (await scene.client.post("/gex_history_url", content=f'{{"{ELSEWHERE}')).status_code == 400
    for header in ({"X-API-Key": f"{MARK}-wrong"}, {"X-API-Key": "", "Authorization": f"Bearer {MARK}"}):
        assert (await scene.client.get("/jobs", headers=header)).status_code == 401


async def read_every_route(scene: Scene) -> None:
    for path in ("/jobs", "/status", "/metrics", "/ready", "/health", "/api/v1/sources", "/openapi.json"):
        assert (await scene.client.get(path)).is_success
    failed = (await scene.client.get("/jobs", params={"status": "failed"})).json()["jobs"]
    body = {"force": True, "reason": ELSEWHERE}
    assert (await scene.client.post(f"/jobs/{failed[0]['id']}/replay", json=body)).is_success


async def use_the_command_line(scene: Scene) -> None:
    stack = scene.system.stack
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "GEXLAKE_URL": stack.url,
        "GEXLAKE_NATS_URL": stack.nats_url,
        "GEXLAKE_API_KEY": CLIENT_KEY,
    }
    backfill = ["backfill", "NQ_NDX", "gex_zero,gex_one", A_DAY.isoformat(), A_DAY.isoformat()]
    for arguments in (["jobs"], ["status"], ["submit", ELSEWHERE], ["sql", "FROM import_jobs"], backfill):
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gexlake.cli", *arguments),
            env=environment,
            cwd=stack.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await ran.communicate()
        scene.captured.add(f"gexlake {arguments[0]}", printed.decode())
