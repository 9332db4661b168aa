"""``gexlake rules``: list the priority rules, add one, test what they decide, switch one off or on."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from uuid import uuid4

import typer

from gexlake.api.priorities.rules import DataType, Evaluation, OutcomeType, RulesList, RuleView
from gexlake.cli.answers import read_as
from gexlake.cli.errors import UnknownRule
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

app = typer.Typer(help="Priority rules: which requests are urgent.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Rule = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name or id, or the start of its id.")]
_SHORT_ID = 8


@app.command("list")
def list_rules(as_json: AsJson = False) -> None:
    """List the rules, the highest score first."""
    with _intake() as intake:
        answer = intake.rules()
    if as_json:
        _print_json(answer["rules"])
        return
    table = FittedTable(
        [
            Column("id"),
            Column("name"),
            Column("score", right=True),
            Column("active"),
            Column("condition", drop=1, wraps=True),
        ]
    )
    for rule in _rules_in(answer):
        state = "unusable" if rule.problem else "yes" if rule.is_active else "no"
        score = f"{rule.priority_score:g}"
        table.add_row(str(rule.rule_id)[:_SHORT_ID], rule.name, score, state, rule.condition)
    console(sys.stdout).print(table)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    condition: Annotated[str, typer.Argument(help="A Python expression: docs/priorities.md.")],
    score: Annotated[float, typer.Argument(min=0, max=1, help="Of the requests that it holds for.")],
    description: Annotated[str, typer.Option(help="Why there is such a rule.")] = "",
    inactive: Annotated[bool, typer.Option("--inactive", help="Do not apply it yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a rule; every intake applies it within a second."""
    body = {
        "rule_id": str(uuid4()),
        "name": name,
        "condition": condition,
        "priority_score": score,
        "description": description,
        "is_active": not inactive,
    }
    with _intake() as intake:
        answer = intake.add_rule(body)
    _print_rule("added", answer, as_json)


@app.command("test")
def evaluate(
    url: Annotated[str, typer.Argument(metavar="URL", help="The source URL of a request.")],
    symbol: Annotated[str, typer.Argument(help="Its market symbol.")],
    data_type: Annotated[DataType, typer.Option("--type", help="Its type of data.")] = DataType.HISTORICAL,
    metadata: Annotated[str, typer.Option(help="Its metadata, as a JSON object.")] = "{}",
    condition: Annotated[str | None, typer.Option(help="A condition that is not saved.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the rules decide of a request, and why; nothing is queued."""
    body: dict[str, Any] = {"source_url": url, "market_symbol": symbol, "data_type": data_type}
    body["metadata"] = _object(metadata)
    if condition is not None:
        body["condition"] = condition
    with _intake() as intake:
        answer = intake.evaluate(body)
    if as_json:
        _print_json(answer)
        return
    found = read_as(Evaluation, answer, "an evaluation")
    table = FittedTable(
        [Column("rule"), Column("score", right=True), Column("outcome"), Column("why", wraps=True)]
    )
    for rule in found.rules:
        outcome = "decides" if rule.decided else rule.outcome.replace("_", " ")
        score = "" if rule.priority_score is None else f"{rule.priority_score:g}"
        why = "" if rule.outcome is OutcomeType.INACTIVE else rule.explanation
        table.add_row(rule.name, score, outcome, why)
    console(sys.stdout).print(table)
    typer.echo(f"{found.priority_level.upper()}, score {found.priority_score:g}")


@app.command()
def disable(rule: Rule, as_json: AsJson = False) -> None:
    """Switch a rule off; it is kept."""
    _switch(rule, "disabled", as_json, is_active=False)


@app.command()
def enable(rule: Rule, as_json: AsJson = False) -> None:
    """Switch a rule on again."""
    _switch(rule, "enabled", as_json, is_active=True)


def _switch(rule: str, done: str, as_json: bool, *, is_active: bool) -> None:
    with _intake() as intake:
        answer = intake.change_rule(_id_of(rule, _rules_in(intake.rules())), {"is_active": is_active})
    _print_rule(done, answer, as_json)


def _id_of(text: str, rules: list[RuleView]) -> str:
    """Return the id of the one rule that has a name, or an id with a start."""
    named = [rule for rule in rules if rule.name.casefold() == text.strip().casefold()]
    start = text.strip().lower()
    found = named or [rule for rule in rules if len(start) > 3 and str(rule.rule_id).startswith(start)]
    if len(found) != 1:
        raise UnknownRule(text, len(found))
    return str(found[0].rule_id)


def _rules_in(answer: dict[str, Any]) -> list[RuleView]:
    return read_as(RulesList, answer, "a list of rules").rules


def _print_rule(done: str, answer: dict[str, Any], as_json: bool) -> None:
    rule = read_as(RuleView, answer, "a rule")
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{done}: rule {rule.name!r} ({rule.rule_id})")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter("--metadata is no JSON object")
    return value


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _intake() -> Intake:
    return Intake(load(CliSettings))
