"""The base of all values on the bus."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of all values on the bus: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
