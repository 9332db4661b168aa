"""The rules of a new deployment: the firm guidelines, and a few for requests that say nothing of the market.

A rule's id is made from its key here, so several intakes create each one once. A rule that was changed or
deleted stays so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from gexlake.api.priorities.rules import NewRule, PriorityRule

_CREATED_BY: Final = "gexlake"
_NAMESPACE: Final = UUID("0d9b3f0e-6a0b-5d1f-9a52-3f6f2c8c7a11")

_RULES: Final = {
    "critical": NewRule(
        name="Guideline: critical",
        description="High impact, a large change of gamma, data of the last 5 seconds.",
        condition="impact == 'high' and gamma_move == 'large' and freshness == 'real_time'",
        priority_score=0.95,
    ),
    "high-real-time": NewRule(
        name="Guideline: high, real-time",
        description="High impact, data of the last 5 seconds.",
        condition="impact == 'high' and freshness == 'real_time'",
        priority_score=0.8,
    ),
    "high-large-change": NewRule(
        name="Guideline: high, large change",
        description="Medium impact or more, a large change of gamma, data of the last 5 minutes.",
        condition=(
            "impact in ('high', 'medium') and gamma_move == 'large' and freshness in ('real_time', 'fresh')"
        ),
        priority_score=0.75,
    ),
    "medium-fresh": NewRule(
        name="Guideline: medium, fresh",
        description="Medium impact or more, data of the last 5 minutes.",
        condition="impact in ('high', 'medium') and freshness in ('real_time', 'fresh')",
        priority_score=0.6,
    ),
    "medium-large-change": NewRule(
        name="Guideline: medium, large change",
        description="Low impact, a large change of gamma, data of the last 5 seconds.",
        condition="impact == 'low' and gamma_move == 'large' and freshness == 'real_time'",
        priority_score=0.5,
    ),
    "low": NewRule(
        name="Guideline: low",
        description="All other requests with an impact, and stale data whatever its impact.",
        condition="impact is not None or freshness == 'stale'",
        priority_score=0.2,
    ),
    "live": NewRule(
        name="Live before history",
        description="Requests for live data that say nothing of the market.",
        condition="data_type == 'real_time' and impact is None and freshness != 'stale'",
        priority_score=0.7,
    ),
    "todays-session": NewRule(
        name="Today's session",
        description="Files of today, which a desk waits for.",
        condition="data_type == 'historical' and day_age == 0 and impact is None and freshness != 'stale'",
        priority_score=0.7,
    ),
    "backfill": NewRule(
        name="Backfills later",
        description="Days before today that are asked for as a range.",
        condition="channel == 'backfill' and day_age > 0",
        priority_score=0.3,
    ),
    "bars": NewRule(
        name="Minute bars later",
        description="History of registered symbols, which may take days under the vendor's rate limit.",
        condition="channel == 'chronox' and data_type == 'historical'",
        priority_score=0.3,
    ),
    "unreliable-source": NewRule(
        name="Unreliable sources later",
        description="Files of a source that fails more often than not.",
        condition="data_type == 'historical' and day_age > 0 and source_reliability < 0.5",
        priority_score=0.3,
    ),
}


def default_rules(now: datetime) -> tuple[PriorityRule, ...]:
    """Return the rules of a new deployment, as created at ``now``."""
    return tuple(
        PriorityRule(
            **rule.model_dump(),
            rule_id=uuid5(_NAMESPACE, key),
            created_at=now,
            updated_at=now,
            changed_by=_CREATED_BY,
        )
        for key, rule in _RULES.items()
    )
