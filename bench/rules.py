"""Conditions of priority rules a second, on one core: ``python -m bench.rules``.

Each condition is evaluated for one request after another, as intake does it, for half a second a round; the
median of seven rounds is printed.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

from bench.measure.tables import Table
from gexlake.api.priorities.rules import EvaluationRequest
from services.intake.priorities.default_rules import default_rules
from services.intake.priorities.facts import Surroundings, facts_of
from services.intake.priorities.scoring import ReadyRule, score

_ROUNDS: Final = 7
_ROUND_S: Final = 0.5
_MIN_RATE: Final = 10_000
_NOW: Final = datetime(2025, 11, 14, 17, tzinfo=UTC)
_REQUEST: Final = EvaluationRequest(
    source_url="https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json",
    market_symbol="NDX",
    metadata={"volume": 61_000, "open_interest": 120_000, "gamma_change": 0.2, "data_age_s": 2},
)


def main() -> None:
    """Measure the rules of a new deployment, and exit with 1 below the target."""
    rules = [ReadyRule(rule) for rule in default_rules(_NOW)]
    facts = facts_of(_REQUEST, Surroundings(_NOW))
    rate = statistics.median(_rate(rules, facts) for _ in range(_ROUNDS))
    row = [
        f"{len(rules)} rules",
        f"{rate:,.0f}",
        f"{rate / len(rules):,.0f}",
        f"{_MIN_RATE:,}",
    ]
    columns = ("of a new deployment", "conditions/s", "requests/s", "target")
    print(Table("Priority rules", columns, [row]).markdown())
    sys.exit(rate < _MIN_RATE)


def _rate(rules: list[ReadyRule], facts: dict[str, Any]) -> float:
    """Return evaluations a second."""
    scored, began = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - began) < _ROUND_S:
        score(rules, facts)
        scored += 1
    return scored * len(rules) / taken_s


if __name__ == "__main__":
    main()
