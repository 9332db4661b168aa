"""JSON text of which every character is ours: what ``json.dumps`` would never write, in every layout.

A value is a tree: raw JSON text for a scalar, a list for an array, a tuple of pairs for an object, each with
the raw text of its name.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

Tree: TypeAlias = "str | list[Tree] | tuple[tuple[str, Tree], ...]"


def compact(tree: Tree) -> str:
    """Write a value without a blank."""
    return _written(tree, lambda: "")


def spaced(tree: Tree, source: Random, blanks: str) -> str:
    """Write a value with blanks wherever they may be."""
    return _written(tree, lambda: "".join(source.choices(blanks, k=source.choice((0, 0, 1, 1, 3)))))


def _written(tree: Tree, blank: Callable[[], str]) -> str:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, list):
        parts = [_written(part, blank) for part in tree]
        begin, end = "[]"
    else:
        parts = [f"{name}{blank()}:{blank()}{_written(part, blank)}" for name, part in tree]
        begin, end = "{}"
    return begin + blank() + f"{blank()},{blank()}".join(parts) + blank() + end


def indented(tree: Tree, depth: int = 0) -> str:
    """Write a value as ``json.dumps(..., indent=2)`` does."""
    if isinstance(tree, str) or not tree:
        return compact(tree)
    margin = "\n" + "  " * depth
    parts = (
        [indented(part, depth + 1) for part in tree]
        if isinstance(tree, list)
        else [f"{name}: {indented(part, depth + 1)}" for name, part in tree]
    )
    begin, end = "[]" if isinstance(tree, list) else "{}"
    return begin + ",".join(f"{margin}  {part}" for part in parts) + margin + end
