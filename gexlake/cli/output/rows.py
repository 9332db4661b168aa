"""The rows of a query, for tables, CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from gexlake.api.lake import SqlResponse


@dataclass(frozen=True)
class Rows:
    """The answer to a query."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    """Whether there are more rows: than asked for, than the importer gives, or than fit into one answer."""
    seconds: float

    @classmethod
    def of(cls, response: SqlResponse) -> Self:
        """Return the rows of a response."""
        return cls(
            columns=tuple(column.name for column in response.columns),
            types=tuple(column.type for column in response.columns),
            rows=response.rows,
            truncated=response.truncated,
            seconds=response.seconds,
        )

    def objects(self) -> list[dict[str, Any]]:
        """Return the rows as JSON objects; a repeated column name gets a number."""
        names = _distinct(self.columns)
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def _distinct(names: Iterable[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct
