"""Fetch one snapshot through the system, print it, and say whether it is complete and consistent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import typer

from gexlake.api.chronox.runs import SnapshotsRefreshed
from gexlake.api.jobs import JobView, Status
from gexlake.cli.answers import read_as, read_job
from gexlake.cli.chronox.log import LineLog, LogLevel
from gexlake.cli.following.watch import follow
from gexlake.cli.intake_client import Intake

_POLL_S: Final = 0.2
_IN_THE_LAKE_WITHIN_S: Final = 15.0
_DAY: Final = ("open", "high", "low", "close")


def check_snapshot(
    intake: Intake, log: LineLog, symbol: str, pause: Callable[[float], None] = time.sleep
) -> bool:
    """Fetch a snapshot and print it as JSON; return whether nothing is wrong with it."""
    begun, before = time.monotonic(), _stored(intake, symbol)
    named = {"symbol": symbol, "strategy": "snapshot", "phase": "snapshot"}
    log.write(LogLevel.INFO, "symbol_execution_started", **named, records=0, elapsed=0.0)
    answer = intake.refresh_snapshots({"symbols": [symbol]})
    queued = read_as(SnapshotsRefreshed, answer, "the jobs of snapshots").queued
    job = _ended(intake, str(queued[0])) if queued else None
    faults = [job.error or f"the job is {job.state}"] if job and job.state is not Status.COMPLETED else []
    row = None if faults else _arrived(intake, symbol, before, pause)
    if not faults:
        faults = faults_of(row) if row else ["no snapshot has arrived in the lake: look at the importer"]
    elapsed = round(time.monotonic() - begun, 3)
    if row is not None:
        typer.echo(json.dumps(row, indent=2, default=str))
    if faults:
        error = "; ".join(faults)
        log.write(LogLevel.ERROR, "symbol_execution_failed", **named, records=0, error=error, elapsed=elapsed)
    else:
        log.write(LogLevel.INFO, "symbol_execution_completed", **named, records=1, elapsed=elapsed)
    return not faults


def faults_of(row: Mapping[str, Any]) -> list[str]:
    """Return what is missing or wrong in a snapshot; nothing for a complete one."""
    found = []
    if row.get("minute") is None:
        found.append("it has no minute: the vendor has none from 03:30 in New York to the first trade")
    missing = [name for name in (*_DAY, "volume") if row.get(name) is None]
    if missing:
        found.append(f"the day has no {', '.join(missing)}")
    else:
        opened, high, low, close = (float(row[name]) for name in _DAY)
        if not 0 < low <= min(opened, close) <= max(opened, close) <= high:
            found.append(f"{opened}, {high}, {low}, {close} are no open, high, low and close")
        if float(row["volume"]) < 0:
            found.append(f"the volume is {row['volume']}")
    bid, ask = row.get("bid"), row.get("ask")
    if bid and ask and bid > ask:
        found.append(f"the bid {bid} is above the ask {ask}")
    return found


def _ended(intake: Intake, job_id: str) -> JobView:
    return follow(lambda: read_job(intake.job(job_id)), lambda _: None)


def _arrived(
    intake: Intake, symbol: str, before: dict[str, Any] | None, pause: Callable[[float], None]
) -> dict[str, Any] | None:
    """Return the snapshot once it is in the lake."""
    deadline = time.monotonic() + _IN_THE_LAKE_WITHIN_S
    while (row := _stored(intake, symbol)) == before and time.monotonic() < deadline:
        pause(_POLL_S)
    return row


def _stored(intake: Intake, symbol: str) -> dict[str, Any] | None:
    quoted = symbol.replace("'", "''")
    answer = intake.query(f"SELECT * FROM snapshots WHERE symbol = '{quoted}'", 1, 10.0)  # noqa: S608
    if not answer.rows:
        return None
    return dict(zip((column.name for column in answer.columns), answer.rows[0], strict=True))
