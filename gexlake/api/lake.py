"""Queries to the lake: over HTTP (``POST /api/v1/sql``) and over NATS (``gex.svc.lake.…``)."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def text_literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


class Request(BaseModel):
    """A request; an unknown field is an error of the sender."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Response(BaseModel):
    """A response; fields of a later version are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SqlRequest(Request):
    """One query that reads."""

    query: str = Field(min_length=1)
    max_rows: int = Field(1000, ge=1)
    timeout_s: float = Field(10.0, gt=0)


class Column(Response):
    """A column of a result: its name and DuckDB's name of its type."""

    name: str
    type: str


class SqlResponse(Response):
    """The rows of a query, as far as the limits on rows and bytes allow."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    """Whether the query has more rows."""
    seconds: float

    @model_validator(mode="after")
    def _rows_fit_the_columns(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("a row has not one value for each column")
        return self


class ExportRequest(Request):
    """One query that reads, whose whole result is sent in chunks."""

    query: str = Field(min_length=1)
    format: Literal["csv", "arrow"] = "arrow"
    """``csv`` with a header, or ``arrow``: an Arrow IPC stream."""
    timeout_s: float = Field(600.0, gt=0)
