"""Measure importer, fetcher and the whole system; print figures and targets as Markdown: ``make bench``.

Whole processes are measured, interleaved, in temporary folders. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from bench.inputs import inputs_folder
from bench.measure import machine
from bench.measure.processes import BenchFailed
from bench.measure.tables import Table
from bench.sections import bars, fetch, file, imports, lake, pipeline, queries, stream
from bench.workbench import Workbench
from simulator.generator import MAX_SNAPSHOTS, Day
from simulator.stack import StackError

SECTIONS: Final[dict[str, Callable[[Workbench], list[Table]]]] = {
    "import": imports.measured,
    "file": file.measured,
    "lake": lake.measured,
    "queries": queries.measured,
    "pipeline": pipeline.measured,
    "fetch": fetch.measured,
    "stream": stream.measured,
    "bars": bars.measured,
}


def run(bench: Workbench, sections: Sequence[str]) -> None:
    """Measure and print, a section at a time.

    Raises:
        BenchFailed: a measured program failed.
        StackError: the system did not start.
    """
    print(machine.description(), end="\n\n", flush=True)
    if not bench.is_full_size:
        print("A trial on smaller days: the targets hold for the full one.", end="\n\n", flush=True)
    for name in sections:
        bench.say(f"--- {name}")
        for table in SECTIONS[name](bench):
            print(table.markdown(), flush=True)


def main() -> None:
    """Measure the sections that the arguments name and clean up."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    inputs = inputs_folder()
    scratch: Path | None = None
    try:
        inputs.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(prefix="scratch-", dir=inputs))
        bench = Workbench(inputs, scratch, options.runs, options.snapshots, options.partitions, _say)
        run(bench, options.only or tuple(SECTIONS))
    except (BenchFailed, StackError, OSError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure importer and fetcher.")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--runs", type=_between(1, 1000), default=5, help="how often each thing is done")
    parser.add_argument(
        "--snapshots",
        type=_between(100, MAX_SNAPSHOTS),
        default=Day.snapshots,
        help="of the day itself; less for a trial",
    )
    parser.add_argument("--partitions", type=_between(2, 1000), default=60, help="of the full lake")
    return parser


def _between(minimum: int, maximum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"expected {minimum} to {maximum}, got {value}")
        return value

    return number


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
