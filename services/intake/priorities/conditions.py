"""Conditions of rules: expressions that are checked once, and evaluated by simpleeval for each request.

The values that an evaluation may produce are bounded, and so is its time; ``grammar`` bounds the expression.
"""

from __future__ import annotations

import ast
import operator
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from simpleeval import SimpleEval

from services.intake.priorities import grammar
from services.intake.priorities.grammar import ConditionRefused
from shared.errors import GexlakeError

TIME_LIMIT_S: Final = 0.005
"""Of CPU time for one evaluation; one that takes longer is tried once more."""
_LARGEST: Final = 2**256
"""The magnitude of an integer that takes part in arithmetic."""
_MAX_DIGITS: Final = 12
_LEAVES: Final = frozenset({ast.Name, ast.Constant})
"""They take no time worth measuring."""


class ConditionFailed(GexlakeError):
    """An evaluation ended with an error: it counts as no match.

    Args:
        problem: what is wrong, as the end of a sentence.
        place: where in the expression.
        is_missing: whether it reads a field of metadata that the request does not have.
    """

    def __init__(self, problem: str, place: str, *, is_missing: bool = False) -> None:
        super().__init__(f"{place}: {problem}")
        self.is_missing = is_missing


class _TooSlow(Exception):
    """The time limit is exceeded."""


class _Unbounded(Exception):
    """A value would be too large, or is no number where one is needed."""


def _of_numbers(calculate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operator for numbers alone: ``'%999999999d' % 1`` and ``'a' * 999999999`` are none."""

    def bounded(left: Any, right: Any) -> Any:
        for value in (left, right):
            if not isinstance(value, int | float):
                raise _Unbounded(f"arithmetic needs numbers, and this is {_kind(value)}")
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise _Unbounded("a number is too large")
        return calculate(left, right)

    return bounded


def _round(number: float, digits: int | None = None) -> float:
    if digits is not None and not -_MAX_DIGITS <= digits <= _MAX_DIGITS:
        raise _Unbounded(f"round takes up to {_MAX_DIGITS} digits")
    return round(number, digits)


def _get(mapping: Mapping[str, Any], key: str, default: Any = None) -> Any:
    if not isinstance(mapping, dict):
        raise _Unbounded(f"get reads an object such as metadata, and this is {_kind(mapping)}")
    return mapping.get(key, default)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unbounded(f"a text is needed, and this is {_kind(value)}")
    return value


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs,
    "endswith": lambda text, end: _text(text).endswith(_text(end)),
    "get": _get,
    "len": len,
    "lower": lambda text: _text(text).lower(),
    "max": max,
    "min": min,
    "round": _round,
    "startswith": lambda text, start: _text(text).startswith(_text(start)),
    "upper": lambda text: _text(text).upper(),
}
"""What conditions may call."""

_OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: _of_numbers(operator.add),
    ast.Sub: _of_numbers(operator.sub),
    ast.Mult: _of_numbers(operator.mul),
    ast.Div: _of_numbers(operator.truediv),
    ast.FloorDiv: _of_numbers(operator.floordiv),
    ast.Mod: _of_numbers(operator.mod),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class Condition:
    """A checked expression.

    Args:
        text: the expression.
        names: what it may read.
        functions: what it may call.

    Raises:
        ConditionRefused: it is none that is allowed.
    """

    def __init__(
        self,
        text: str,
        names: Collection[str],
        functions: Mapping[str, Callable[..., Any]] = FUNCTIONS,
    ) -> None:
        self.text = text.strip()
        self._tree = grammar.parse(self.text, names, functions)
        self._evaluator = _Evaluator(functions)
        found = (node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name))
        self.names = tuple(sorted({name for name in found if name in names}))
        """What it reads."""

    def check_time(self, facts: Mapping[str, Any]) -> None:
        """Refuse an expression that takes too long.

        Raises:
            ConditionRefused: it does, with these facts.
        """
        try:
            self._evaluator.run(self.text, self._tree, facts)
        except _TooSlow:
            raise ConditionRefused("time", *self._too_slow()) from None
        except Exception:  # noqa: BLE001, S110 (what a request lacks is no fault of the rule)
            pass

    def matches(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the condition holds.

        Args:
            facts: the value of each name.

        Raises:
            ConditionFailed: the evaluation ended with an error, or took too long.
        """
        try:
            return bool(self._evaluator.run(self.text, self._tree, facts))
        except _TooSlow:
            raise ConditionFailed(*self._too_slow()) from None
        except Exception as error:  # noqa: BLE001 (a rule is never an error of the request)
            raise ConditionFailed(
                _problem(error), self._place(), is_missing=isinstance(error, KeyError)
            ) from None

    def _too_slow(self) -> tuple[str, str]:
        return f"it takes longer than {1000 * TIME_LIMIT_S:g} ms", self._place()

    def _place(self) -> str:
        return grammar.place_of(self.text, self._evaluator.failed_at or self._tree)


class _Evaluator(SimpleEval):  # type: ignore[misc]  # simpleeval has no types
    """simpleeval, with lists, a time limit, and the node at which an error occurred."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(operators=_OPERATORS, functions=dict(functions), names={})
        self.nodes |= {ast.List: self._eval_list, ast.Tuple: self._eval_list}
        self.failed_at: ast.AST | None = None
        self._deadline_s = 0.0

    def run(self, text: str, tree: ast.expr, facts: Mapping[str, Any]) -> Any:
        try:
            return self._run_once(text, tree, facts)
        except _TooSlow:  # a collection of garbage may have taken the time
            return self._run_once(text, tree, facts)

    def _run_once(self, text: str, tree: ast.expr, facts: Mapping[str, Any]) -> Any:
        self.failed_at = None
        self.names = facts
        self._deadline_s = time.thread_time() + TIME_LIMIT_S
        return self.eval(text, tree)

    def _eval(self, node: ast.AST) -> Any:
        kind = type(node)
        try:
            value = self.nodes[kind](node)
        except Exception:
            self.failed_at = self.failed_at or node
            raise
        if kind not in _LEAVES and time.thread_time() > self._deadline_s:
            self.failed_at = node
            raise _TooSlow
        return value

    def _eval_list(self, node: ast.List | ast.Tuple) -> list[Any] | tuple[Any, ...]:
        values = [self._eval(element) for element in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)


def _problem(error: Exception) -> str:
    match error:
        case _Unbounded():
            return str(error)
        case KeyError():
            return f"there is no {error.args[0]!r}"
        case ZeroDivisionError():
            return "division by zero"
        case _:
            return f"{type(error).__name__}: {error}"[:200]


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"
