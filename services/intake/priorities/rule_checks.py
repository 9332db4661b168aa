"""What a rule's condition must be before it is saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from gexlake.api.priorities.rules import MAX_METADATA_BYTES, EvaluationRequest
from services.intake.errors import Unprocessable
from services.intake.priorities.conditions import Condition
from services.intake.priorities.facts import FACTS, Surroundings, facts_of
from services.intake.priorities.grammar import ConditionRefused
from shared.sources.record import SourceRecord

_SAMPLE: Final[dict[str, Any]] = facts_of(
    EvaluationRequest(
        source_url="https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json",
        market_symbol="NDX",
        metadata={"volume": 1, "open_interest": 1, "gamma_change": 0.2, "data_age_s": 1}
        | {"text": "a" * (MAX_METADATA_BYTES // 2)},
    ),
    Surroundings(
        datetime(2025, 11, 14, 17, tzinfo=UTC),
        SourceRecord(base_url="https://hist.gex.bot", requests=1, successes=1, mean_response_s=0.2),
    ),
)
"""A request with all facts and much metadata."""


def check_condition(text: str) -> Condition:
    """Return a condition that may be saved.

    Raises:
        Unprocessable: it is not allowed, or takes too long; the text names the place.
    """
    try:
        condition = Condition(text, FACTS)
        condition.check_time(_SAMPLE)
    except ConditionRefused as error:
        raise Unprocessable("condition", error.rule, f"condition: {error}") from error
    return condition
