"""The tables of what floods show, and whether the promises are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.measure.spread import Spread
from bench.measure.tables import Table
from bench.sla.figures import TURNS, Ended, ended, fewest_low_turns, jobs_per_s, median_error
from bench.sla.flood import Flood
from bench.sla.workload import WARM_UP
from gexlake.api.jobs import PROMISES, Priority, Stage, Status

_CRITICAL_P95_S: Final = 10.0
_MAX_ERROR: Final = 0.35
_FORETOLD: Final = 0.8
_THROUGHPUT: Final = 0.95


@dataclass(frozen=True)
class Check:
    """A figure with a target.

    Args:
        figure: as it is printed.
        target: as it is printed.
        is_met: whether the figure is within the target.
    """

    name: str
    figure: str
    target: str
    is_met: bool

    def cells(self) -> list[str]:
        """Return the cells of a row."""
        return [self.name, self.figure, f"{self.target}: {'met' if self.is_met else 'MISSED'}"]


def tables(with_priorities: Flood, without: Flood) -> tuple[list[Table], bool]:
    """Return the tables of both floods, and whether every target is met."""
    found = ended(with_priorities.accepted, with_priorities.jobs)
    checks = list(_checks(found, with_priorities, without))
    return [
        _waits("With priorities", found, with_priorities),
        _waits("All of them MEDIUM", ended(without.accepted, without.jobs), without),
        Table("Promises", ["figure", "", "target"], [check.cells() for check in checks]),
    ], all(check.is_met for check in checks)


def _waits(title: str, found: Sequence[Ended], flood: Flood) -> Table:
    rows = []
    for priority in Priority:
        if level := [each for each in found if each.priority is priority]:
            waits = Spread.of([each.wait_s for each in level])
            error = f"{median_error(level):.2f}"
            rows.append([priority.upper(), *_cells(waits), error])
    return Table(
        title=title,
        note=(
            f"{len(found):,} jobs, {flood.urgent:,} of them requested during the flood, which took "
            f"{flood.seconds_to_post:.1f} s to request. {_rate(flood):.2f} jobs/s."
        ),
        columns=["seconds from the request to the end", "count", "p50", "p95", "max", "estimates are off by"],
        rows=rows,
    )


def _cells(waits: Spread) -> list[str]:
    return [f"{waits.count:,}", *(f"{value:.1f}" for value in (waits.p50, waits.p95, waits.max))]


def _checks(found: Sequence[Ended], flood: Flood, without: Flood) -> Iterator[Check]:
    for priority, promise in PROMISES.items():
        limit_s = promise.total_seconds()
        waits = [each.wait_s for each in found if each.priority is priority]
        worst_s = max(waits, default=0.0)
        yield Check(f"{priority.upper()}, max", f"{worst_s:.1f} s", f"< {limit_s:g} s", worst_s < limit_s)
        if priority is Priority.CRITICAL:
            p95_s = Spread.of(waits).p95
            target = f"< {_CRITICAL_P95_S:g} s"
            yield Check("CRITICAL, p95", f"{p95_s:.1f} s", target, p95_s < _CRITICAL_P95_S)
    (beside,) = ended([flood.beside_large], flood.jobs)
    yield Check(
        "CRITICAL, requested during the large import",
        f"{beside.wait_s:.1f} s",
        "< 30 s",
        not beside.is_missed,
    )
    for stage in Stage:
        turns = fewest_low_turns(flood.jobs, stage)
        is_met = turns is None or turns >= 1
        yield Check(f"LOW, turns of {stage} in {TURNS[stage]}, at the worst", f"{turns}", "≥ 1", is_met)
    ratio = _rate(flood) / _rate(without)
    is_met = ratio >= _THROUGHPUT
    yield Check("throughput, of that without priorities", f"{ratio:.3f}", f"≥ {_THROUGHPUT}", is_met)
    error = median_error(found)
    yield Check("estimates, median distance", f"{error:.2f}", f"≤ {_MAX_ERROR}", error <= _MAX_ERROR)
    missed = [each for each in found if each.is_missed]
    foretold = sum(each.was_foretold for each in missed)
    is_met = foretold >= _FORETOLD * len(missed)
    yield Check("missed deadlines foretold", f"{foretold} of {len(missed)}", f"≥ {_FORETOLD:.0%}", is_met)
    for name, each in (("with priorities", flood), ("without", without)):
        yield _once(name, each)


def _once(name: str, flood: Flood) -> Check:
    """Check that the lake has every job once, as its table and as its Parquet file."""
    jobs = WARM_UP + len(flood.accepted)
    lost = sum(job.state is not Status.COMPLETED for job in flood.jobs)
    twice = sum(job.attempts > 1 or job.generation > 1 for job in flood.jobs)
    lake = flood.lake
    is_met = (len(flood.jobs), lake.partitions, lake.snapshots) == (jobs, jobs, flood.snapshots)
    is_met = is_met and lake.strikes == lake.parquet_strikes and not (lost or twice or lake.differences)
    figure = (
        f"{lake.partitions:,} partitions, {lost} lost, {twice} twice, {lake.differences} differences of "
        f"{lake.compared:,} compared"
    )
    return Check(f"the lake, {name}", figure, f"{jobs:,}, each once", is_met)


def _rate(flood: Flood) -> float:
    return jobs_per_s(flood.began, flood.accepted, flood.jobs)
