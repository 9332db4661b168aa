"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A heading, what the rows are, and the rows, as they are printed."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return it as Markdown: first column to the left, the others to the right.

        Raises:
            ValueError: a row has not as many cells as there are columns.
        """
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: a row is not {len(self.columns)} cells long")
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [_line(row) for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *([self.note, ""] if self.note else []), *lines, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
