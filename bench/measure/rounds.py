"""Interleave the runs of several things, so that other load on the machine affects them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.measure.figures import Run, Runs


def interleaved(
    ways: Mapping[str, Callable[[], Run]], rounds: int, say: Callable[[str], object]
) -> dict[str, Runs]:
    """Run each thing once, then each again, and so on; return the runs of each.

    Args:
        ways: the things to run, by name.
        rounds: how often to run each.
        say: called with the progress.
    """
    done: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(1, rounds + 1):
        for name, way in ways.items():
            run = way()
            done[name].append(run)
            say(f"{number} of {rounds}: {name}: {run.seconds:.2f} s")
    return {name: Runs(runs) for name, runs in done.items()}
