"""Errors: the one JSON shape of every error response over HTTP."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What is wrong with a request."""

    field: str | None = Field(description="the field of the input that is wrong")
    rule: str = Field(description="the rule that it breaks, for programs")
    message: str = Field(description="what is wrong and what to do, for people")


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: Problem
