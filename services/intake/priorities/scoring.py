"""The score of a request: what each rule says of it, and which rule decides.

The highest score of the active rules that match decides, and 0.5 if none does. A rule that fails counts as no
match. So does one that reads a fact which is not known of the request, unless its condition provides for
that, as ``(volume or 0) > 5000`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import OutcomeType, PriorityRule
from services.intake.priorities.conditions import Condition, ConditionFailed
from services.intake.priorities.facts import FACTS
from services.intake.priorities.grammar import ConditionRefused

DEFAULT_SCORE: Final = 0.5
_MAX_SHOWN: Final = 60


@dataclass(frozen=True)
class Thresholds:
    """The scores from which a request has each level; below the last it is LOW."""

    critical: float = 0.9
    high: float = 0.7
    medium: float = 0.4

    def level(self, score: float) -> Priority:
        """Return the level of a score."""
        if score >= self.critical:
            return Priority.CRITICAL
        if score >= self.high:
            return Priority.HIGH
        return Priority.MEDIUM if score >= self.medium else Priority.LOW

    def nearest(self, score: float, level: Priority) -> float:
        """Return a score of a level: ``score`` if it has the level, or else the level's lowest."""
        if self.level(score) is level:
            return score
        lowest = {Priority.CRITICAL: self.critical, Priority.HIGH: self.high, Priority.MEDIUM: self.medium}
        return lowest.get(level, 0.0)


class ReadyRule:
    """A rule whose condition can be evaluated, or the reason why it cannot.

    Args:
        rule: the rule.
        revision: of the bucket.
    """

    def __init__(self, rule: PriorityRule, revision: int = 0) -> None:
        self.rule = rule
        self.revision = revision
        self.problem: str | None = None
        self.failures = 0
        """How often this revision failed since intake was started."""
        self._condition: Condition | None = None
        try:
            self._condition = Condition(rule.condition, FACTS)
        except ConditionRefused as error:  # saved by another version, or by hand
            self.problem = str(error)

    def evaluate(self, facts: Mapping[str, Any]) -> Outcome:
        """Return what comes of the rule."""
        if not self.rule.is_active:
            return Outcome(self.rule, OutcomeType.INACTIVE, "the rule is not active")
        if self._condition is None:
            return Outcome(self.rule, OutcomeType.FAILED, self.problem or "")
        return Outcome(self.rule, *evaluate(self._condition, facts))


@dataclass(frozen=True)
class Outcome:
    """What came of one rule."""

    rule: PriorityRule
    type: OutcomeType
    explanation: str


@dataclass(frozen=True)
class Scored:
    """A score, and why.

    Args:
        score: from 0 to 1.
        outcomes: of all rules, in their order.
    """

    score: float
    outcomes: tuple[Outcome, ...]

    @property
    def deciding(self) -> tuple[PriorityRule, ...]:
        """The rules whose score it is; none if no rule matched."""
        return tuple(outcome.rule for outcome in self.outcomes if self.is_by(outcome))

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The rules that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.type is OutcomeType.FAILED)

    def is_by(self, outcome: Outcome) -> bool:
        """Return whether the score is that of a rule."""
        return outcome.type is OutcomeType.MATCHED and outcome.rule.priority_score == self.score


def score(rules: Iterable[ReadyRule], facts: Mapping[str, Any]) -> Scored:
    """Let the rules decide; a rule that fails is among the outcomes, and no error."""
    outcomes = tuple(rule.evaluate(facts) for rule in rules)
    scores = [outcome.rule.priority_score for outcome in outcomes if outcome.type is OutcomeType.MATCHED]
    return Scored(max(scores, default=DEFAULT_SCORE), outcomes)


def evaluate(condition: Condition, facts: Mapping[str, Any]) -> tuple[OutcomeType, str]:
    """Return what comes of a condition, and why."""
    try:
        matches = condition.matches(facts)
    except ConditionFailed as error:
        unknown = [name for name in condition.names if facts.get(name) is None]
        if error.is_missing or unknown:
            return OutcomeType.MISSING, f"not known: {', '.join(unknown)}" if unknown else str(error)
        return OutcomeType.FAILED, str(error)
    return OutcomeType.MATCHED if matches else OutcomeType.NOT_MATCHED, _explain(condition, facts)


def _explain(condition: Condition, facts: Mapping[str, Any]) -> str:
    shown = (f"{name} = {_short(facts.get(name))}" for name in condition.names)
    return ", ".join(shown) or "it reads nothing"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
