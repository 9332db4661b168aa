"""A range of snapshots as SQL for the importer.

Ticker, endpoint and trading day are in the path of a file, so that a condition on them opens no other file;
the time is in its footer. Snapshots have no view with the trading day: the footers of all days are read.
"""

from __future__ import annotations

from typing import Final

from services.intake.snapshots.request import SnapshotsRequest

COLUMNS: Final = (
    "timestamp",
    "spot_price",
    "zero_gamma",
    "net_gex",
    "min_dte",
    "sec_min_dte",
    "major_pos_vol",
    "major_pos_oi",
    "major_neg_vol",
    "major_neg_oi",
    "sum_gex_vol",
    "sum_gex_oi",
    "delta_risk_reversal",
    "max_priors",
    "call_wall_candidate1_pct",
    "call_wall_candidate2_pct",
    "put_wall_candidate1_pct",
    "put_wall_candidate2_pct",
    "source",
)
"""Of ``gex_snapshots``, without ticker and endpoint, which are the same in every row."""
_STRIKE_TEXT: Final = (
    "'[' || strike || ',' || coalesce(CAST(gamma AS VARCHAR), 'null') || ',' "
    "|| coalesce(CAST(oi_gamma AS VARCHAR), 'null') || coalesce(',' || priors, '') || ']'"
)
_AS_TEXT: Final = f"'[' || string_agg({_STRIKE_TEXT}, ',' ORDER BY strike) || ']'"
"""Strikes as JSON text, with the text of their priors: no number is read and written again."""


def page_query(asked: SnapshotsRequest) -> str:
    """Return the query of one page: one row more than it may have, which shows that there is another page."""
    limited = f"{_snapshots(asked)} ORDER BY timestamp LIMIT {asked.limit + 1}"
    return _with_strikes(limited, asked) if asked.strikes else limited


def export_query(asked: SnapshotsRequest) -> str:
    """Return the query of all snapshots of the range, without their strikes; its limit does not count."""
    return f"{_snapshots(asked)} ORDER BY timestamp"


def _snapshots(asked: SnapshotsRequest) -> str:
    source = f" AND source = {_quoted(asked.source)}" if asked.source else ""
    return f"SELECT {', '.join(COLUMNS)} FROM gex_snapshots WHERE {_range(asked)}{source}"  # noqa: S608 (quoted)


def _with_strikes(snapshots: str, asked: SnapshotsRequest) -> str:
    first, last = asked.days
    days = f"trading_day BETWEEN '{first}' AND '{last}'"
    return (
        f"WITH page AS ({snapshots}), profiles AS ("  # noqa: S608 (quoted)
        f"SELECT timestamp, {_AS_TEXT} AS strikes FROM gex_history SEMI JOIN page USING (timestamp) "
        f"WHERE {days} AND {_range(asked)} GROUP BY timestamp) "
        "SELECT page.*, strikes FROM page LEFT JOIN profiles USING (timestamp) ORDER BY timestamp"
    )


def _range(asked: SnapshotsRequest) -> str:
    return (
        f"ticker = {_quoted(asked.ticker)} AND endpoint = {_quoted(asked.endpoint)} "
        f"AND timestamp >= {asked.first_ms} AND timestamp < {asked.end_ms}"
    )


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
