"""A table that fits the terminal: with less space between columns, without some of them, or as cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAPS: Final = (3, 1)
"""Blanks between two columns, the first that fits."""
_MIN_WRAPPED: Final = 30
"""A column of sentences is wrapped to what is left of the line, if that is at least so much."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    """Whether it is aligned to the right, as numbers are."""
    drop: int = 0
    """When it is left out where the line is too short: 1 is first; 0 is never."""
    wraps: bool = False
    """Whether it holds sentences, which may take several lines."""


class FittedTable:
    """Rows under a header, in the widest form that fits the console; otherwise each row as a card.

    Args:
        columns: the columns.
        title: a line above the table.
        has_rule: whether a line stands under the header.
    """

    def __init__(self, columns: Sequence[Column], title: str = "", *, has_rule: bool = True) -> None:
        self._columns = tuple(columns)
        self._has_rule = has_rule
        self._title = title
        self._rows: list[tuple[Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row, with a cell for each column."""
        self._rows.append(tuple(Text(cell) if isinstance(cell, str) else cell for cell in cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or the cards."""
        if self._title:
            yield Text(self._title, style="italic")
        shown = next((form for form in self._forms() if form.width <= options.max_width), None)
        if shown is not None:
            yield self._table(shown, options.max_width)
            return
        for number, row in enumerate(self._rows, 1):
            yield Text(f"── {number} ──", style="dim")
            yield self._card(row)

    def _forms(self) -> Iterator[_Form]:
        """Yield the forms of the table, the one that shows most first."""
        for dropped in range(max(column.drop for column in self._columns) + 1):
            kept = tuple(n for n, column in enumerate(self._columns) if not 0 < column.drop <= dropped)
            for gap in _GAPS if self._has_rule else _GAPS[-1:]:
                form = _Form(kept, gap, sum(map(self._width, kept)) + gap * (len(kept) - 1))
                yield form
                if wrapping := [number for number in kept if self._columns[number].wraps]:
                    spare = sum(max(0, self._width(number) - _MIN_WRAPPED) for number in wrapping)
                    yield replace(form, width=form.width - spare)

    def _width(self, number: int) -> int:
        cells = (self._columns[number].name, *(row[number].plain for row in self._rows))
        return max(cell_len(line) for cell in cells for line in cell.split("\n"))

    def _table(self, form: _Form, width: int) -> Table:
        side = (form.gap - 1) // 2
        box, padding = (SIMPLE_HEAD, (0, side, 0, side)) if self._has_rule else (None, (0, form.gap, 0, 0))
        table = Table(box=box, show_edge=False, pad_edge=False, padding=padding, header_style="bold")
        natural = sum(map(self._width, form.kept)) + form.gap * (len(form.kept) - 1)
        for number in form.kept:
            column = self._columns[number]
            table.add_column(
                Text(column.name),
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=natural > width and not column.wraps,
            )
        for row in self._rows:
            table.add_row(*(row[number] for number in form.kept))
        return table

    def _card(self, row: Sequence[Text]) -> Table:
        card = Table.grid(padding=(0, 2, 0, 0))
        card.add_column(style="bold", no_wrap=True)
        card.add_column(overflow="fold")
        for column, cell in zip(self._columns, row, strict=True):
            card.add_row(Text(column.name), cell)
        return card


@dataclass(frozen=True)
class _Form:
    """The columns that are shown, the blanks between them, and how wide that is at least."""

    kept: tuple[int, ...]
    gap: int
    width: int
