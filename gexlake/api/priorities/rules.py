"""Priority rules: the models of the routes that keep them and explain what they decide."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gexlake.api.jobs import EXAMPLE_URL, Priority

MAX_METADATA_BYTES: Final = 16 * 1024
MAX_METADATA_DEPTH: Final = 20
"""Levels of objects and lists in metadata: readers of messages refuse JSON that is nested deeper than 200."""
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""How urgent a request is, from 0 to 1."""
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_Description = Annotated[str, StringConstraints(max_length=1000)]
_Condition = Annotated[str, StringConstraints(strip_whitespace=True)]
_CONDITION: Final = Field(
    description="a Python expression; docs/priorities.md lists what it may read and call",
    examples=["data_type == 'real_time' and market_symbol in ['NDX', 'SPX']"],
)


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more than some levels of objects and lists."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_nested_deeper(each, levels - 1) for each in inner)


class DataType(StrEnum):
    """The type of data that a request is about."""

    HISTORICAL = "historical"
    REAL_TIME = "real_time"
    SNAPSHOT = "snapshot"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class NewRule(_Strict):
    """A rule as a client writes it."""

    name: _Name = Field(examples=["Live indices"])
    description: _Description = ""
    condition: _Condition = _CONDITION
    priority_score: Score = Field(description="of the requests that the condition holds for", examples=[0.9])
    is_active: bool = True


class RuleToCreate(NewRule):
    """A rule to create."""

    rule_id: UUID | None = Field(None, description="chosen by the client, so that a retry creates no second")


class RuleChanges(_Strict):
    """Fields of a rule to change; those left out stay as they are."""

    name: _Name | None = None
    description: _Description | None = None
    condition: _Condition | None = None
    priority_score: Score | None = None
    is_active: bool | None = None


class PriorityRule(NewRule):
    """A rule."""

    model_config = ConfigDict(extra="ignore")

    rule_id: UUID
    created_at: AwareDatetime
    updated_at: AwareDatetime = Field(description="when it was last changed; never before created_at")
    changed_by: str | None = Field(
        None,
        description="who changed it last: a part of the hash of an API key, an address, or gexlake for a "
        "rule of a new deployment; null for a change by the nats command",
        examples=["key:ba7816bf", "address:10.0.0.7"],
    )


class RuleView(PriorityRule):
    """A rule as it is now."""

    revision: int = Field(description="of the bucket RULES; also in the header ETag, for If-Match")
    problem: str | None = Field(
        None, description="why this version cannot evaluate the condition; the rule then matches nothing"
    )
    failures: int = Field(0, description="how often this revision failed since this intake was started")


class RulesList(BaseModel):
    """All rules, the highest score first."""

    rules: list[RuleView]
    total_count: int


class RuleOperation(StrEnum):
    """What a change did to a rule."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"


class RuleChange(BaseModel):
    """One change of a rule."""

    revision: int = Field(description="of the bucket RULES")
    changed_at: AwareDatetime | None = Field(description="when the bucket took it")
    changed_by: str | None = Field(description="who made it, as in the rule; null for the nats command")
    operation: RuleOperation
    old: PriorityRule | None = Field(
        description="the rule before; null if there was none, or if the bucket does not have it any more"
    )
    new: PriorityRule | None = Field(description="the rule after it; null if it was deleted")


class RuleHistory(BaseModel):
    """The changes of a rule that the bucket has, the newest first."""

    rule_id: UUID
    changes: list[RuleChange]
    total_count: int


class EvaluationRequest(_Strict):
    """A request whose score is wanted; nothing is queued."""

    source_url: Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://[^/\s]+")] = Field(
        examples=[EXAMPLE_URL]
    )
    data_type: DataType = DataType.HISTORICAL
    market_symbol: Annotated[
        str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1, max_length=10)
    ] = Field(examples=["SPX"])
    requested_at: AwareDatetime | None = Field(None, description="now, if it is left out")
    metadata: dict[str, Any] = Field(default_factory=dict, examples=[{"volume": 61_000, "data_age_s": 2}])

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"it has {size} bytes as JSON, over {MAX_METADATA_BYTES}")
        if is_nested_deeper(metadata, MAX_METADATA_DEPTH):
            raise ValueError(f"it is nested deeper than {MAX_METADATA_DEPTH} levels")
        return metadata


class EvaluateBody(EvaluationRequest):
    """A request, and the condition of a rule that is not saved."""

    condition: _Condition | None = Field(None, description="evaluated beside the rules; it decides nothing")


class OutcomeType(StrEnum):
    """What came of a rule."""

    MATCHED = "matched"
    NOT_MATCHED = "not_matched"
    MISSING = "missing"
    """It reads a fact that is not known of the request."""
    FAILED = "failed"
    INACTIVE = "inactive"


class RuleOutcome(BaseModel):
    """What came of one rule."""

    rule_id: UUID | None = Field(description="null for a condition that is not saved")
    name: str
    condition: str
    priority_score: float | None
    outcome: OutcomeType
    explanation: str = Field(examples=["impact = 'high', freshness = 'real_time'"])
    decided: bool = Field(description="whether the score of the request is that of this rule")


class Evaluation(BaseModel):
    """The score of a request, and why."""

    priority_score: float
    priority_level: Priority
    decided_by: list[str] = Field(description="names of the rules; empty if none matched")
    rules: list[RuleOutcome]
    facts: dict[str, Any] = Field(description="what conditions read; null where it is not known")
    evaluated_at: datetime
