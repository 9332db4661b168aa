"""The demo of a day of gamma exposure: ``make demo``."""

from __future__ import annotations

import argparse
from functools import partial

from simulator.demo.gex import run
from simulator.demo.process import run_in_folder
from simulator.generator import Day


def main() -> None:
    """Run the demo and clean up."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo", description=run.__doc__)
    parser.add_argument("--snapshots", type=int, default=Day.snapshots)
    parser.add_argument("--strikes", type=int, default=Day.strikes)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    try:
        day = Day(snapshots=options.snapshots, strikes=options.strikes)
    except ValueError as error:
        parser.error(str(error))
    run_in_folder(partial(run, day), keep=options.keep)


if __name__ == "__main__":
    main()
