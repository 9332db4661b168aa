"""The routes about priority rules: list, change, and explain what they decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from gexlake.api.priorities.rules import (
    EvaluateBody,
    Evaluation,
    NewRule,
    RuleChanges,
    RuleHistory,
    RuleOutcome,
    RulesList,
    RuleToCreate,
    RuleView,
)
from services.intake.errors import PreconditionRequired
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_model
from services.intake.http.revisions import IfMatch, revision_in
from services.intake.priorities.conditions import Condition
from services.intake.priorities.facts import facts_of
from services.intake.priorities.rule_checks import check_condition
from services.intake.priorities.rule_store import no_rule
from services.intake.priorities.scoring import Outcome, ReadyRule, Scored, evaluate, score

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], dependencies=[Depends(require_key)])


@router.get("", summary="Which rules are there?", responses=documented(401, 422, 503))
async def get_rules(context: Context, active_only: bool = False) -> RulesList:  # noqa: FBT001, FBT002 (of the query)
    """List the rules, the highest score first."""
    context.rules.require_read()
    rules = [_view(ready) for ready in context.rules.all if ready.rule.is_active or not active_only]
    return RulesList(rules=rules, total_count=len(rules))


@router.post(
    "",
    status_code=201,
    summary="Create a rule",
    responses=documented(400, 401, 409, 413, 415, 422, 503),
    openapi_extra=described_body(RuleToCreate),
)
async def post_rule(request: Request, response: Response, context: Context, client: ClientName) -> RuleView:
    """Create a rule; every intake applies it within a second.

    With a `rule_id` of the client, the same request again creates no second rule.
    """
    new = await read_model(request, RuleToCreate)
    created = await context.rule_store.create(new, public_name(client))
    response.headers["Location"] = f"/api/v1/rules/{created.rule.rule_id}"
    return _tagged(response, created)


@router.post(
    "/evaluate",
    summary="What would the rules decide?",
    responses=documented(400, 401, 413, 415, 422, 503),
    openapi_extra=described_body(EvaluateBody),
)
async def post_evaluation(request: Request, context: Context) -> Evaluation:
    """Score a request that is not queued, and explain the outcome of each rule."""
    context.rules.require_read()
    asked = await read_model(request, EvaluateBody)
    condition = check_condition(asked.condition) if asked.condition is not None else None
    facts = facts_of(asked, context.prioritizer.surroundings(asked.source_url))
    scored = score(context.rules.all, facts)
    outcomes = [_outcome(outcome, scored) for outcome in scored.outcomes]
    if condition is not None:
        outcomes.insert(0, _trial(condition, facts))
    return Evaluation(
        priority_score=scored.score,
        priority_level=context.thresholds.level(scored.score),
        decided_by=[rule.name for rule in scored.deciding],
        rules=outcomes,
        facts={name: value for name, value in facts.items() if name != "metadata"},
        evaluated_at=context.clock(),
    )


@router.get("/{rule_id:uuid}", summary="Show a rule", responses=documented(401, 404, 422, 503))
async def get_rule(rule_id: UUID, response: Response, context: Context) -> RuleView:
    """Show a rule; its ETag is its revision."""
    context.rules.require_read()
    ready = context.rules.get(rule_id)
    if ready is None:
        raise no_rule(rule_id)
    return _tagged(response, ready)


@router.get(
    "/{rule_id:uuid}/history", summary="Who changed a rule?", responses=documented(401, 404, 422, 503)
)
async def get_rule_history(rule_id: UUID, context: Context) -> RuleHistory:
    """List the changes of a rule, also of a deleted one: the last 64; the lake has all of them."""
    context.rules.require_read()
    changes = context.rules.changes(rule_id)
    if not changes:
        raise no_rule(rule_id)
    return RuleHistory(rule_id=rule_id, changes=changes[::-1], total_count=len(changes))


@router.put(
    "/{rule_id:uuid}",
    summary="Replace a rule",
    responses=documented(400, 401, 404, 412, 413, 415, 422, 428, 503),
    openapi_extra=described_body(NewRule),
)
async def put_rule(
    rule_id: UUID,
    request: Request,
    response: Response,
    context: Context,
    client: ClientName,
    if_match: IfMatch = None,
) -> RuleView:
    """Replace all fields of a rule. `If-Match` names the revision that is replaced."""
    if if_match is None:
        raise PreconditionRequired
    new = await read_model(request, NewRule)
    changed = await context.rule_store.change(
        rule_id, new.model_dump(), revision_in(if_match), public_name(client)
    )
    return _tagged(response, changed)


@router.patch(
    "/{rule_id:uuid}",
    summary="Change a rule",
    responses=documented(400, 401, 404, 412, 413, 415, 422, 503),
    openapi_extra=described_body(RuleChanges),
)
async def patch_rule(
    rule_id: UUID,
    request: Request,
    response: Response,
    context: Context,
    client: ClientName,
    if_match: IfMatch = None,
) -> RuleView:
    """Change some fields of a rule; those that are left out, or null, stay as they are."""
    changes = (await read_model(request, RuleChanges)).model_dump(exclude_none=True)
    changed = await context.rule_store.change(rule_id, changes, revision_in(if_match), public_name(client))
    return _tagged(response, changed)


@router.delete(
    "/{rule_id:uuid}", status_code=204, summary="Delete a rule", responses=documented(401, 404, 412, 422, 503)
)
async def delete_rule(rule_id: UUID, context: Context, client: ClientName, if_match: IfMatch = None) -> None:
    """Delete a rule; to keep it and switch it off, change `is_active`."""
    await context.rule_store.delete(rule_id, revision_in(if_match), public_name(client))


def _tagged(response: Response, ready: ReadyRule) -> RuleView:
    response.headers["ETag"] = f'"{ready.revision}"'
    return _view(ready)


def _view(ready: ReadyRule) -> RuleView:
    return RuleView(
        **ready.rule.model_dump(), revision=ready.revision, problem=ready.problem, failures=ready.failures
    )


def _outcome(outcome: Outcome, scored: Scored) -> RuleOutcome:
    rule = outcome.rule
    return RuleOutcome(
        rule_id=rule.rule_id,
        name=rule.name,
        condition=rule.condition,
        priority_score=rule.priority_score,
        outcome=outcome.type,
        explanation=outcome.explanation,
        decided=scored.is_by(outcome),
    )


def _trial(condition: Condition, facts: Mapping[str, Any]) -> RuleOutcome:
    outcome, explanation = evaluate(condition, facts)
    return RuleOutcome(
        rule_id=None,
        name="(not saved)",
        condition=condition.text,
        priority_score=None,
        outcome=outcome,
        explanation=explanation,
        decided=False,
    )
