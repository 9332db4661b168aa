"""Turn what pydantic says about an input into one refusal, without repeating the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.intake.errors import Unprocessable

_SOURCES: Final = frozenset({"body", "query", "path", "header"})


def first_problem(problems: Sequence[Any]) -> Unprocessable:
    """Return the refusal for the first of pydantic's errors; it names the field and the rule."""
    problem = problems[0]
    names = [str(part) for part in problem["loc"] if part not in _SOURCES]
    field = ".".join(names) or "body"
    text = problem["msg"].removeprefix("Value error, ")
    return Unprocessable(field, problem["type"], f"{field}: {text[:1].lower()}{text[1:]}")
