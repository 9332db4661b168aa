"""The main job through the whole system: a URL becomes rows and Parquet, or a failed job with a reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest
from nats.js.errors import NotFoundError

from shared.bus import subjects
from simulator.generator import Day
from simulator.stack import NATS
from simulator.vendor import Fault
from tests.support.poll import eventually
from tests.support.repository import GOLDEN, ROOT
from tests.support.system.running import System, connection_to, running_system

EXAMPLE = GOLDEN / "vendor" / "classic_gex_zero_snapshot.json"
TRADE = GOLDEN / "vendor" / "uw_option_trade_frame.json"
SECRET = "sig=must-not-leak"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("main_job")) as system:
        yield system


def changed(day: Day, change: Any) -> bytes:
    """Return a day's file with changed records."""
    records = list(day.records())
    change(records)
    return json.dumps(records).encode()


async def test_the_vendors_example_snapshot_goes_through_the_whole_stack_value_for_value(
    system: System,
) -> None:
    record = json.loads(EXAMPLE.read_text())
    day = Day("SPX", "gex_zero", date(2026, 4, 29))
    system.offer(day, json.dumps([record]).encode())
    job = await system.import_day(day)
    assert (job["state"], job["snapshots"], job["strike_rows"]) == ("completed", 1, 4)
    (row,) = await system.sql(
        "SELECT timestamp // 1000, ticker, min_dte, sec_min_dte, spot_price, zero_gamma, major_pos_vol, "
        "major_pos_oi, major_neg_vol, major_neg_oi, sum_gex_vol, sum_gex_oi, delta_risk_reversal, max_priors "
        "FROM gex_snapshots WHERE ticker = 'SPX'"
    )
    flat = [value for name, value in record.items() if name not in {"strikes", "max_priors"}]
    assert row[:-1] == flat
    assert json.loads(row[-1]) == record["max_priors"]
    for table in ("gex_strikes", "parquet_gex_strikes"):
        strikes = await system.sql(
            f"SELECT strike, gamma, oi_gamma, priors FROM {table} WHERE ticker = 'SPX'"
        )
        assert [[*strike[:3], json.loads(strike[3])] for strike in strikes] == record["strikes"]
    parquet = system.stack.data_dir / "parquet" / "gexbot" / "SPX" / "gex_zero" / "20260429.strikes.parquet"
    assert parquet.is_file()


async def test_a_real_option_trade_is_posted_and_asked_for_by_sql(system: System) -> None:
    """Posted twice, it is stored once; a heartbeat is not stored."""
    heartbeat = b'[null, "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]'
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
        for body in (heartbeat, TRADE.read_bytes(), TRADE.read_bytes()):
            (
                await client.post("/uw", content=body, headers={"Content-Type": "text/plain"})
            ).raise_for_status()
    query = (
        "SELECT ticker, type, strike, expiry, price, size, delta, gamma, theta, vega, rho, "
        "json_extract_string(raw, '$.sector') FROM option_trades_events"
    )
    await eventually(lambda: system.sql(query), what="the trade")
    assert await system.sql(query) == [
        ["ARM", "call", 118.0, "2026-01-16", 2.8, 500, 0.422, 0.041, -0.207, 0.071, 0.011, "Technology"]
    ]
    assert await system.sql("SELECT topic, event FROM universal_webhooks") == [
        ["option_trades_super_algo", "new_msg"]
    ]


async def test_a_file_that_is_posted_inline_and_encoded_twice_goes_through_the_whole_stack(
    system: System,
) -> None:
    record = json.loads(EXAMPLE.read_text())
    url = system.vendor.url_of("2026-04-29_SPX_classic_gex_one.json")
    body = json.dumps({"payload": {"url": url}, "raw_body": json.dumps([record])})
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
        answer = await client.post(
            "/gex_history_url", content=json.dumps(body), headers={"Content-Type": "text/plain"}
        )
    answer.raise_for_status()
    job = await system.finished(answer.json()["id"])
    assert (job["state"], job["endpoint"], job["snapshots"]) == ("completed", "gex_one", 1), job
    assert system.vendor.requests.count("2026-04-29_SPX_classic_gex_one.json") == 0


async def test_the_same_url_posted_twice_at_once_or_with_another_query_is_one_job(system: System) -> None:
    day = system.new_day()
    ids = await asyncio.gather(*(system.post(day) for _ in range(8)), system.post(day, "sig=another"))
    assert len(set(ids)) == 1
    assert (await system.finished(ids[0]))["state"] in {"completed", "skipped"}
    await system.assert_whole(day)
    assert await system.sql(f"SELECT count(*) FROM gex_history_queue WHERE id = '{ids[0]}'") == [[1]]


@pytest.mark.slow
async def test_a_download_that_is_raised_half_way_goes_on_and_is_imported_once(system: System) -> None:
    day = system.new_day()
    size = (system.vendor.folder / day.file_name).stat().st_size
    system.vendor.inject_fault(day.file_name, Fault(hold_after_bytes=size // 2, times=1))
    sent_before = system.vendor.requests.sent_bytes
    job_id = await system.post(day, priority="low")
    path = "/api/v1/ingest/priority"
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
        (request, *_) = (await client.get(path)).json()["requests"]
        assert request["job_id"] == job_id

        async def is_half_way() -> bool:
            found = (await client.get(f"/jobs/{job_id}")).json()["bytes_fetched"]
            return bool(found >= size // 2)

        await eventually(is_half_way)
        change = {"priority_level": "critical", "reason": "the desk waits"}
        answer = await client.patch(f"{path}/{request['request_id']}", json=change)
        answer.raise_for_status()
        job = await system.finished(job_id)
        ended = (await client.get(f"{path}/{request['request_id']}")).json()
    system.vendor.release()
    assert (job["state"], job["priority"], job["generation"]) == ("completed", "critical", 2)
    assert (ended["deadline_kept"], ended["overrides"][-1]["reason"]) == (True, "the desk waits")
    assert system.vendor.requests.sent_bytes - sent_before == size
    await system.assert_whole(day)


async def test_a_finished_job_posted_again_unchanged_stays_completed_and_changed_it_replaces(
    system: System,
) -> None:
    day = system.new_day()
    first = await system.import_day(day)
    assert first["state"] == "completed"
    assert [step["state"] for step in first["transitions"]] == ["pending", "started", "staged", "completed"]
    again = await system.import_day(day, query="sig=fresh")
    assert (again["id"], again["state"], again["skipped"]) == (first["id"], "completed", True)
    assert again["checksum"] == first["checksum"]
    other = replace(day, seed=999)
    system.offer(other)
    replaced = await system.import_day(other)
    assert (replaced["id"], replaced["state"], replaced["skipped"]) == (first["id"], "completed", False)
    assert replaced["replaced_checksum"] == first["checksum"] != replaced["checksum"]
    await system.assert_whole(other)
    ledger = await system.sql(
        f"SELECT status, checksum, replaced_checksum FROM gex_history_queue WHERE id = '{first['id']}'"
    )
    assert ledger == [["completed", replaced["checksum"], first["checksum"]]]


async def test_a_tenth_of_the_records_is_refused_and_nothing_changes_unless_forced(system: System) -> None:
    day = system.new_day()
    await system.import_day(day)
    tenth = replace(day, snapshots=day.snapshots // 10)
    system.offer(tenth)
    refused = await system.import_day(tenth)
    assert (refused["state"], refused["error_field"]) == ("failed", "snapshots")
    assert "force" in refused["error"]
    await system.assert_whole(day)
    forced = await system.import_day(tenth, force=True, reason="the vendor withdrew the rest")
    assert forced["state"] == "completed"
    await system.assert_whole(tenth)
    ledger = await system.sql(
        f"SELECT reason, replaced_records FROM gex_history_queue WHERE id = '{forced['id']}'"
    )
    assert ledger == [["the vendor withdrew the rest", day.snapshots]]


async def test_gex_full_after_gex_zero_of_the_same_day_leaves_both(system: System) -> None:
    zero = system.new_day()
    full = replace(zero, endpoint="gex_full", strikes=7)
    system.offer(full)
    await system.import_day(zero)
    await system.import_day(full)
    await system.assert_whole(zero, full)


def cut_off(day: Day) -> bytes:
    whole = changed(day, lambda _: None)
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (cut_off, "is cut off in record"),
        (lambda _: b"", "empty"),
        (lambda _: b'{"error": "no data"}', "sent an error in place of"),
        (lambda _: b'"text"', "begins with neither [ nor {"),
        (lambda day: changed(day, lambda all_: all_[3].update(ticker="SPX")), "record 4: ticker is 'SPX'"),
        (
            lambda day: changed(day, lambda all_: all_[7].update(timestamp=None)),
            "record 8: timestamp is null",
        ),
        (lambda _: b"[]", "no records"),
    ],
    ids=["truncated", "empty", "an_object", "not_an_array", "wrong_ticker", "null_timestamp", "no_records"],
)
async def test_a_bad_file_fails_by_name_is_a_dead_letter_and_delays_no_other(
    system: System, bad: Any, error: str
) -> None:
    day, good = system.new_day(), system.new_day()
    system.offer(day, bad(day))
    bad_id, good_id = await asyncio.gather(system.post(day), system.post(good))
    failed = await system.finished(bad_id)
    assert failed["state"] == "failed"
    assert error in failed["error"]
    assert (await system.finished(good_id))["state"] == "completed"
    async with connection_to(system.stack) as bus:
        letter = await bus.js.get_msg(subjects.DEAD, seq=failed["dead_letter_seq"])
    assert letter.headers is not None
    assert error in letter.headers["Gex-Reason"]
    await system.assert_whole(good)
    start = f"{day.first_timestamp_s}000"
    assert await system.sql(f"SELECT count(*) FROM gex_snapshots WHERE timestamp = {start}") == [[0]]


async def test_the_broker_down_is_503_within_five_seconds_and_a_retry_later_is_one_job(
    system: System,
) -> None:
    day = system.new_day()
    body = {"url": system.vendor.url_of(day.file_name), "type": day.endpoint}
    system.stack.kill(NATS)
    try:
        began = time.monotonic()
        async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
            answer = await client.post("/gex_history_url", json=body)
        assert time.monotonic() - began < 5
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
    finally:
        system.stack.start_service(NATS)
    job = await system.import_day(day)
    assert job["state"] == "completed"
    await system.assert_whole(day)


async def test_a_stranded_job_is_queued_again_by_the_janitor(system: System) -> None:
    day = system.new_day()
    system.stack.kill("fetcher")
    system.stack.stop_service("janitor")
    job_id = await system.post(day, query="")
    async with connection_to(system.stack) as bus:
        await bus.js.purge_stream(subjects.JOBS)
    system.stack.start_service("fetcher")
    soon = {"GEXLAKE_STRANDED_AFTER_S": "1", "GEXLAKE_REQUEUE_INTERVAL_S": "0.5"}
    system.stack.start_service("janitor", soon)
    job = await system.finished(job_id)
    assert (job["state"], job["generation"]) == ("completed", 2)
    await system.assert_whole(day)


async def test_a_second_importer_on_the_same_file_exits_with_one_line_and_the_first_goes_on(
    system: System,
) -> None:
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.importer"],
        env={
            "GEXLAKE_DATA_DIR": str(system.stack.data_dir),
            "GEXLAKE_NATS_URL": system.stack.nats_url,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert "only one importer may run on a lake" in line
    day = system.new_day()
    assert (await system.import_day(day))["state"] == "completed"
    await system.assert_whole(day)


async def test_no_signed_query_appears_in_any_log_answer_event_or_ledger_row(system: System) -> None:
    good, missing = system.new_day(), system.new_day()
    (system.folder / missing.file_name).unlink()
    ids = [await system.post(day, SECRET) for day in (good, missing)]
    jobs = [await system.finished(job_id) for job_id in ids]
    assert [job["state"] for job in jobs] == ["completed", "failed"]
    texts = [json.dumps(jobs), *(path.read_text() for path in system.stack.folder.glob("*.log"))]
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
        for path in ("/jobs?limit=500", "/status", "/metrics", f"/jobs/{ids[0]}"):
            texts.append((await client.get(path)).text)  # noqa: PERF401 (an await in a list reads worse)
        texts.append((await client.post(f"/jobs/{ids[0]}/replay")).text)
    await system.finished(ids[0])
    async with connection_to(system.stack) as bus:
        last = (await bus.js.stream_info(subjects.EVENTS)).state.last_seq
        for sequence in range(1, last + 1):
            with suppress(NotFoundError):  # a probe that has expired
                event = await bus.js.get_msg(subjects.EVENTS, seq=sequence)
                texts.append(f"{event.headers}{(event.data or b'').decode()}")

    async def recorded() -> list[list[Any]]:
        return await system.sql(
            f"SELECT * FROM gex_history_queue WHERE id = '{ids[1]}' AND status = 'failed'"
        )

    texts.append(json.dumps(await eventually(recorded)))
    texts.append(json.dumps(await system.sql("SELECT * FROM gex_history_queue")))
    assert len(texts) > 20
    assert [text for text in texts if "must-not-leak" in text] == []
