"""Make the archive of a data folder that a released version has written.

    python -m tests.golden.make_data_folder tests/golden/v0.2.0/data-folder.tar.xz

Run it with the code of that version, before the version is released, and never change an archive afterwards.
v0.1.0 had its stand-ins in ``bench`` instead of ``simulator``: its archive was made by this script with these
imports changed.

The archive holds a stack's folder after a clean stop: ``data``, the broker's store in ``nats/jetstream``, and
the files that were posted in ``sources``. Their URLs point below the working folder of the fetcher, which is
the stack's folder, so that they are valid wherever the archive is unpacked. The streams have no maximum age:
the broker would drop the messages of an older archive.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
import nats

from simulator.generator import Day
from simulator.other_packages import GreekDay, OrderflowDay, StateGexDay
from simulator.stack import Stack

SOURCES: Final = "/proc/self/cwd/sources"
"""The folder of the posted files as the fetcher sees it."""
SETTINGS: Final = {"GEXLAKE_LOCAL_SOURCE_DIRS": SOURCES, "GEXLAKE_RETRY_DELAY_S": "0.1"}
KEPT: Final = ("data", "nats/jetstream", "sources")
_WITHIN_S: Final = 60.0
_FINISHED: Final = {"completed", "skipped", "failed"}
_CLASSIC: Final = Day("NQ_NDX", "gex_zero", date(2025, 11, 14), snapshots=30, strikes=5, seed=1)
_DAYS: Final = (
    _CLASSIC,
    Day("SPX", "gex_full", date(2025, 11, 13), snapshots=30, strikes=5, seed=2),
    StateGexDay("ES_SPX", "state_gex_zero", date(2025, 11, 14), snapshots=20, strikes=5, seed=3),
    GreekDay("ES_SPX", "state_gamma_zero", date(2025, 11, 14), snapshots=20, strikes=5, seed=4),
    OrderflowDay("ES_SPX", "orderflow", date(2025, 11, 14), snapshots=20, seed=5),
)
_BROKEN: Final = replace(_CLASSIC, day=date(2025, 11, 12))


def run(stack: Stack) -> None:
    """Import all days, one of them twice, and a file that is refused."""
    sources = stack.folder / "sources"
    sources.mkdir()
    for day in _DAYS:
        day.write(sources / day.file_name)
        _check(_finished(stack, day), "completed")
    _check(_finished(stack, _CLASSIC), "completed")
    records = list(_BROKEN.records())
    del records[3]["spot"]
    (sources / _BROKEN.file_name).write_text(json.dumps(records))
    _check(_finished(stack, _BROKEN), "failed")


async def lift_max_age(nats_url: str) -> None:
    """Let all streams keep their messages for ever."""
    client = await nats.connect(nats_url)
    for info in await client.jetstream().streams_info():
        await client.jetstream().update_stream(info.config.evolve(max_age=0))
    await client.close()


def pack(folder: Path, archive: Path) -> None:
    """Pack what a restart needs, without the owners of the files."""
    with tarfile.open(archive, "w:xz") as tar:
        for name in KEPT:
            tar.add(folder / name, name, filter=_without_owner)


def main() -> None:
    """Run a stack in a temporary folder, stop it and pack its folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "stack"
        with Stack(folder, env=SETTINGS) as stack:
            run(stack)
            asyncio.run(lift_max_age(stack.nats_url))
        pack(folder, Path(sys.argv[1]))


def _finished(stack: Stack, day: Day) -> dict[str, Any]:
    """Post a day and return its job once this run of it is finished."""
    body = {"url": f"file://{SOURCES}/{day.file_name}", "ticker": day.ticker, "type": day.endpoint}
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        posted = client.post("/gex_history_url", json=body).raise_for_status().json()
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            job: dict[str, Any] = client.get(f"/jobs/{posted['id']}").json()
            if job.get("state") in _FINISHED and job["generation"] == posted["generation"]:
                return job
            time.sleep(0.05)
    raise TimeoutError(f"{day.file_name} is not finished after {_WITHIN_S:g} s: {stack.tails()}")


def _check(job: dict[str, Any], state: str) -> None:
    if job["state"] != state:
        raise RuntimeError(f"expected a job that is {state}, got {job}")


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
