"""Measure live payloads under load; print figures and targets as Markdown: ``make bench-live``.

Everything runs in temporary folders, which are removed at the end. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path
from tempfile import mkdtemp

from bench.inputs import inputs_folder
from bench.live.parts import PARTS, LiveBench
from bench.measure import machine
from bench.measure.processes import BenchFailed
from simulator.stack import StackError


def main() -> None:
    """Measure the parts that the arguments name."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    inputs = inputs_folder()
    scratch: Path | None = None
    try:
        inputs.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(prefix="live-", dir=inputs))
        bench = LiveBench(
            options.locust.absolute(), inputs, scratch, options.rate, options.seconds, options.clients, _say
        )
        print(machine.description(), end="\n\n", flush=True)
        for name in options.only or tuple(PARTS):
            _say(f"--- {name}")
            for table in PARTS[name](bench):
                print(table.markdown(), flush=True)
    except (BenchFailed, StackError, OSError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description="Measure live payloads.")
    parser.add_argument("--locust", type=Path, required=True, help="the program, in whatever environment")
    parser.add_argument("--rate", type=float, default=300, help="requests a second of all clients together")
    parser.add_argument("--seconds", type=float, default=60, help="of the part load")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="PART", help=", ".join(PARTS))
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
