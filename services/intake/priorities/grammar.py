"""The grammar of conditions: a subset of Python's expressions, checked when a rule is saved.

What is refused here cannot become expensive later: there are no attributes, loops, comprehensions, powers or
shifts, and at most 500 characters.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Collection, Iterator
from typing import Final

from shared.errors import GexlakeError

MAX_LENGTH: Final = 500
MAX_DEPTH: Final = 20
_ALLOWED: Final = (
    ast.Load,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.IfExp,
    ast.Compare,
    ast.Call,
    ast.Constant,
    ast.Subscript,
    ast.Name,
    ast.List,
    ast.Tuple,
    *(ast.And, ast.Or, ast.Not, ast.UAdd, ast.USub),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
)
_WITHOUT_PLACE: Final = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)
_CONSTANTS: Final = frozenset({bool, int, float, str, type(None)})
_REFUSED: Final = {
    ast.Attribute: "attribute access",
    ast.Lambda: "lambda",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment",
    ast.Slice: "a slice",
    ast.Starred: "unpacking",
    ast.keyword: "a keyword argument",
    ast.Pow: "the operator **",
    ast.LShift: "the operator <<",
    ast.RShift: "the operator >>",
    ast.MatMult: "the operator @",
    ast.BitAnd: "the operator &",
    ast.BitOr: "the operator |",
    ast.BitXor: "the operator ^",
    ast.Invert: "the operator ~",
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "a comprehension"),
}


class ConditionRefused(GexlakeError):
    """An expression that cannot be a condition.

    Args:
        rule: the rule that it breaks, as one word for programs.
        problem: what is wrong, as the end of a sentence.
        place: where, such as ``line 1, column 7``; None for the whole of it.
    """

    field = "condition"

    def __init__(self, rule: str, problem: str, place: str | None = None) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.rule = rule
        self.place = place


def parse(text: str, names: Collection[str], functions: Collection[str]) -> ast.expr:
    """Return the syntax tree of a condition.

    Args:
        text: the expression, without spaces around it.
        names: what it may read.
        functions: what it may call.

    Raises:
        ConditionRefused: it is too long or too deep, no expression, or beyond the grammar.
    """
    if not text:
        raise ConditionRefused("empty", "the condition is empty; True is one that always matches")
    if len(text) > MAX_LENGTH:
        raise ConditionRefused(
            "length", f"the condition has {len(text)} characters; {MAX_LENGTH} are allowed"
        )
    tree = _tree_of(text)
    _Checker(text, frozenset(names), frozenset(functions)).check(tree)
    return tree


def place_of(text: str, node: ast.AST) -> str:
    """Return where a node begins: its line and its column in characters, both from 1."""
    line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    before = text.split("\n")[line - 1].encode()[:offset]
    return _place(line, len(before.decode(errors="replace")) + 1)


def _place(line: int, column: int) -> str:
    return f"line {line}, column {column}"


def _tree_of(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as the one about an invalid escape
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        place = _place(error.lineno or 1, error.offset or 1)
        raise ConditionRefused("syntax", f"no Python expression: {error.msg}", place) from None
    except (ValueError, RecursionError, MemoryError, Warning) as error:
        reason = str(error) or "it is nested too deeply"
        raise ConditionRefused("syntax", f"the condition is no Python expression: {reason}") from None


class _Checker:
    """Refuses the first node of a tree that is beyond the grammar."""

    def __init__(self, text: str, names: frozenset[str], functions: frozenset[str]) -> None:
        self._text = text
        self._names = names
        self._functions = functions

    def check(self, node: ast.AST, depth: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise self._refusal("depth", f"the condition is nested deeper than {MAX_DEPTH} levels", node)
        self._check_type(node, node)
        match node:
            case ast.Constant():
                self._check_constant(node)
            case ast.Name():
                self._check_name(node)
            case ast.Call():
                self._check_function(node)
            case ast.Compare():
                self._check_identity(node)
        for child in self._operands(node):
            self.check(child, depth + 1)

    def _operands(self, node: ast.AST) -> Iterator[ast.AST]:
        called = node.func if isinstance(node, ast.Call) else None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _WITHOUT_PLACE):
                self._check_type(child, node)
            elif child is not called:
                yield child

    def _check_type(self, node: ast.AST, at: ast.AST) -> None:
        if not isinstance(node, _ALLOWED):
            what = _REFUSED.get(type(node), f"{type(node).__name__}")
            raise self._refusal("grammar", f"{what} is not allowed in a condition", at)

    def _check_constant(self, node: ast.Constant) -> None:
        if type(node.value) not in _CONSTANTS:
            kind = type(node.value).__name__
            raise self._refusal(
                "grammar", f"a constant of the type {kind} is not allowed in a condition", node
            )

    def _check_name(self, node: ast.Name) -> None:
        self._check_letters(node)
        if node.id in self._functions:
            raise self._refusal("name", f"{node.id} is a function, which can only be called", node)
        if node.id not in self._names:
            hint = _hint(node.id, self._names) or "; other fields of metadata are read as metadata['name']"
            raise self._refusal("name", f"there is no {node.id!r} to read{hint}", node)

    def _check_letters(self, node: ast.Name) -> None:
        """Refuse look-alikes of letters, which Python reads as the letters."""
        line = self._text.split("\n")[node.lineno - 1].encode()
        written = line[node.col_offset : node.end_col_offset].decode(errors="replace")
        if not written.isascii():
            raise self._refusal("name", f"{written!r} is not written in ASCII letters", node)

    def _check_identity(self, node: ast.Compare) -> None:
        """Refuse ``is`` between values: whether two equal texts are one object is a detail of Python."""
        for operator, right in zip(node.ops, node.comparators, strict=True):
            is_none = isinstance(right, ast.Constant) and right.value is None
            if isinstance(operator, ast.Is | ast.IsNot) and not is_none:
                raise self._refusal("grammar", "'is' compares with None alone; use == or !=", right)

    def _check_function(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Name):
            self._check_type(node.func, node.func)
            raise self._refusal("call", "only a function can be called, by its name", node)
        self._check_letters(node.func)
        if node.func.id not in self._functions:
            hint = _hint(node.func.id, self._functions) or f"; there are {', '.join(sorted(self._functions))}"
            raise self._refusal("call", f"there is no function {node.func.id!r}{hint}", node)

    def _refusal(self, rule: str, problem: str, node: ast.AST) -> ConditionRefused:
        return ConditionRefused(rule, problem, place_of(self._text, node))


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
