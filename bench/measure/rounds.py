"""Do several things in turns, so that whatever else the machine does strikes all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.measure.figures import Run, Runs


def in_turns(
    ways: Mapping[str, Callable[[], Run]], rounds: int, say: Callable[[str], object]
) -> dict[str, Runs]:
    """Do each thing once, then each again, and so on; return the runs of each.

    Args:
        ways: what to do, by name.
        rounds: how often.
        say: told what is being done.
    """
    done: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(1, rounds + 1):
        for name, way in ways.items():
            run = way()
            done[name].append(run)
            say(f"{number} of {rounds}: {name}: {run.seconds:.2f} s")
    return {name: Runs(runs) for name, runs in done.items()}
