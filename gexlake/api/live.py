"""Live payloads and snapshots over HTTP: the models of the routes that take and return them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema


class SnapshotAccepted(BaseModel):
    """A snapshot that the broker has on disk."""

    status: Literal["success"] = "success"
    ticker: str


class SnapshotStreamed(BaseModel):
    """A snapshot that went to readers of replays only; it is not stored."""

    status: Literal["success"] = "success"
    ticker: str
    readers: int = Field(description="how many follow replays at this moment")


StrikeView: TypeAlias = (
    tuple[float, float | None, float | None] | tuple[float, float | None, float | None, list[float | None]]
)
"""``[strike, gamma, oi_gamma, priors]``: GEX by volume and by open interest; some strikes have no priors."""


class SnapshotColumns(BaseModel):
    """Columns of ``gex_snapshots``."""

    timestamp: int = Field(description="UTC epoch in milliseconds")
    spot_price: float | None = None
    zero_gamma: float | None = None
    net_gex: float | None = None
    min_dte: int | None = None
    sec_min_dte: int | None = None
    major_pos_vol: float | None = None
    major_pos_oi: float | None = None
    major_neg_vol: float | None = None
    major_neg_oi: float | None = None
    sum_gex_vol: float | None = None
    sum_gex_oi: float | None = None
    delta_risk_reversal: float | None = None
    max_priors: list[Any] | None = Field(
        None, description="as it was sent: mostly pairs of strike and change"
    )
    call_wall_candidate1_pct: float | None = None
    call_wall_candidate2_pct: float | None = None
    put_wall_candidate1_pct: float | None = None
    put_wall_candidate2_pct: float | None = None


class SnapshotView(SnapshotColumns):
    """One snapshot; the fields are the columns of ``gex_snapshots``."""

    source: str = Field(description="`history` or `live`")
    strikes: list[StrikeView] | None = Field(
        None, description="`[strike, gamma, oi_gamma, priors]`, by strike; only if asked for"
    )


class SnapshotsPage(BaseModel):
    """A page of the snapshots of one ticker and endpoint, in order of time."""

    ticker: str
    endpoint: str
    start: int = Field(description="of the range: the first millisecond, as a UTC epoch")
    end: int = Field(description="of the range: the first millisecond after it")
    snapshots: list[SnapshotView]
    next: str | None = Field(description="the path of the next page; null on the last one")


class WebhookReceived(BaseModel):
    """A webhook that the broker has on disk, and what was recognized in it."""

    status: Literal["received"] = "received"
    topic: str | None
    """As it was sent; null if the object names none."""
    event: str | None
    recognized: Literal["option_trade", "market_aggregate"] | None
    """What has a row of its own; null if only the raw payload is kept."""
    ticker: str | None
    """Of an option trade."""
    option_chain_id: str | None
    """The OCC symbol of an option trade."""


class WebhookIgnored(BaseModel):
    """A reply of the socket, of which nothing is stored."""

    status: Literal["ignored"] = "ignored"
    reason: Literal["heartbeat", "join_ack"]
    topic: str | None


class LiveSnapshotView(SnapshotColumns):
    """A snapshot, or the part of it that an event has; columns without a value are left out."""

    model_config = ConfigDict(extra="ignore")

    id: int | None = Field(None, description="where in FEED it is; left out if it is from the lake")
    event: Literal["snapshot", "majors", "maxchange"] = "snapshot"
    received_at: datetime | None = Field(None, description="left out if it is from the lake")
    ticker: str = Field(examples=["SPX"])
    endpoint: str = Field(examples=["gex_zero"])
    strikes: list[list[Any]] | None = Field(
        None,
        description="`[strike, gamma, oi_gamma, priors]`: GEX by volume and by open interest",
        examples=[[[6800.0, 1234.5, 987.6, [1200.0, 1100.5, 900.0, 850.0, 700.0]]]],
    )


class ChainAccepted(BaseModel):
    """A snapshot of an option chain that the broker has on disk."""

    snapshot_id: UUID = Field(description="as it was sent, or else derived from the content")
    job_id: UUID | None
    market_symbol: str = Field(examples=["SPX"])
    snapshot_date: date = Field(description="in New York")
    # The format "time" of JSON Schema has an offset.
    snapshot_time: Annotated[time, WithJsonSchema({"type": "string"})] = Field(description="in New York")
    timestamp: int = Field(description="UTC epoch in milliseconds")
    strikes: int = Field(description="how many it has")
    total_open_interest: int = Field(description="of all calls and puts, in contracts")
    total_volume: int = Field(description="of all calls and puts, in contracts")
    processed_at: datetime = Field(description="when it arrived")
    data_quality_score: float = Field(description="from 0 to 1, when it arrived")
