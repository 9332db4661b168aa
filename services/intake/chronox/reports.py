"""What runs do, in the log and as metrics. The words of the log are those of the first system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gexlake.api.chronox.symbols import Phase, RegisteredSymbol, Run, RunOutcome

_SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
RUNS_LOGGER: Final = __name__
"""The logger of runs: its lines are also written to ``chronox.log``."""
log = structlog.get_logger(RUNS_LOGGER)


class RunReports:
    """Logs and counts runs; symbols are in the log, and no labels of metrics: there may be thousands.

    Args:
        registry: gets the metrics.
        in_progress: how many runs all intakes have.
    """

    def __init__(self, registry: CollectorRegistry, in_progress: Callable[[], int]) -> None:
        self._ended = Counter(
            "gexlake_runs_ended",
            "Runs of registered symbols that this intake ended",
            ("outcome",),
            registry=registry,
        )
        self._records = Counter(
            "gexlake_run_records", "Rows that ended phases brought in", ("phase",), registry=registry
        )
        self._snapshot_s = Histogram(
            "gexlake_snapshot_seconds",
            "Seconds from a run's snapshot phase to its published snapshot",
            buckets=_SECONDS,
            registry=registry,
        )
        running = Gauge("gexlake_runs", "Runs of registered symbols in progress", registry=registry)
        running.set_function(in_progress)
        for outcome in RunOutcome:
            self._ended.labels(outcome)

    def started(self, symbol: RegisteredSymbol, run: Run, *, taken_over: bool) -> None:
        """Report that this intake drives a run."""
        again = {"taken_over": True} if taken_over else {}
        log.info("symbol_execution_started", **_named(symbol, run.phase, run.records, 0.0), **again)

    def phase_ended(self, symbol: RegisteredSymbol, phase: Phase, records: int, elapsed_s: float) -> None:
        """Report the end of a phase without an error."""
        self._records.labels(phase).inc(records)
        if phase is Phase.SNAPSHOT:
            self._snapshot_s.observe(elapsed_s)
        log.info("symbol_phase_completed", **_named(symbol, phase, records, elapsed_s))

    def completed(self, symbol: RegisteredSymbol, phase: Phase, records: int, elapsed_s: float) -> None:
        """Report the end of a run."""
        self._ended.labels(RunOutcome.COMPLETED).inc()
        log.info("symbol_execution_completed", **_named(symbol, phase, records, elapsed_s))

    def failed(
        self, symbol: RegisteredSymbol, phase: Phase, records: int, elapsed_s: float, error: str
    ) -> None:
        """Report the end of a run with an error."""
        self._ended.labels(RunOutcome.FAILED).inc()
        log.error("symbol_execution_failed", **_named(symbol, phase, records, elapsed_s), error=error)

    def stopped(self, symbol: RegisteredSymbol, phase: Phase, elapsed_s: float) -> None:
        """Report that a run was ended by a client, or taken over."""
        self._ended.labels(RunOutcome.STOPPED).inc()
        log.info("symbol_execution_stopped", **_named(symbol, phase, 0, elapsed_s))


def _named(symbol: RegisteredSymbol, phase: Phase, records: int, elapsed_s: float) -> dict[str, object]:
    return {
        "symbol": symbol.symbol,
        "strategy": str(symbol.strategy),
        "phase": str(phase),
        "records": records,
        "elapsed": round(elapsed_s, 3),
    }
