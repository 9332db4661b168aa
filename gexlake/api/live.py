"""Answers to live payloads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class SnapshotAccepted(BaseModel):
    """A snapshot that the broker has on disk."""

    status: Literal["success"] = "success"
    ticker: str
