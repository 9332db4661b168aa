"""Measure the promises to requests under a flood: ``make bench-sla``.

5,000 LOW jobs of 2 MB are requested, and more urgent ones in the meantime, while a file of 600 MB comes too.
The same is done again without priorities, as all MEDIUM. Tables go to standard output as Markdown, progress
to standard error. The exit status is 1 if a target is missed. Everything runs in a temporary folder, which is
removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from bench.inputs import generated, inputs_folder, large_day
from bench.measure import machine
from bench.measure.processes import BenchFailed
from bench.sla import report
from bench.sla.flood import Flood, Plan, run
from bench.sla.workload import LARGE, Requested
from gexlake.api.jobs import Priority
from simulator.stack import StackError


def main() -> None:
    """Send both floods through the system and judge the first."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    inputs = inputs_folder()
    scratch: Path | None = None
    try:
        plan = Plan(options.jobs, options.minutes, generated(large_day(options.large), inputs, _say))
        scratch = Path(mkdtemp(prefix="sla-", dir=inputs))
        print(machine.description(), end="\n\n", flush=True)
        flood = _flood(scratch / "with", plan, lambda requested: requested.priority)
        without = _flood(scratch / "without", plan, lambda _: Priority.MEDIUM, flood.urgent)
        tables, is_met = report.tables(flood, without)
        for table in tables:
            print(table.markdown(), flush=True)
    except* (BenchFailed, StackError, OSError) as errors:
        sys.exit(f"bench: {errors.exceptions[0]}")
    except* KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch)
    sys.exit(not is_met)


def _flood(
    folder: Path, plan: Plan, priority_of: Callable[[Requested], Priority], urgent: int | None = None
) -> Flood:
    _say(f"--- {folder.name} priorities")
    try:
        return run(folder, plan, priority_of, _say, urgent)
    finally:
        shutil.rmtree(folder)  # gigabytes that the other flood needs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.sla", description="Measure promises under a flood."
    )
    parser.add_argument("--jobs", type=int, default=5000, help="of the flood")
    parser.add_argument("--minutes", type=float, default=10, help="how long more urgent requests come")
    parser.add_argument("--large", type=int, default=LARGE, help="150 MB so many times in one file")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
