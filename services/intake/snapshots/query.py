"""A range of snapshots as SQL for the importer.

Ticker and endpoint are in the path of a file, so that a condition on them opens no other file; of those that
are left, the time in the footer says which are read. The views with the trading day have no live rows.
"""

from __future__ import annotations

from typing import Final

from gexlake.api.lake import text_literal
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

_AS_LIST: Final = (
    "list({'strike': strike, 'gamma': gamma, 'oi_gamma': oi_gamma, 'priors': priors} ORDER BY strike)"
)
WINDOW_SNAPSHOTS: Final = 2000
"""How many snapshots are read with their strikes at a time, if all of a range are."""


def page_query(asked: SnapshotsRequest) -> str:
    """Return the query of one page: one row more than it may have, which shows that there is another page."""
    limited = f"{_snapshots(asked)} ORDER BY timestamp LIMIT {asked.limit + 1}"
    return _with_strikes(limited, asked, _AS_TEXT) if asked.strikes else limited


def export_query(asked: SnapshotsRequest, *, nested: bool) -> str:
    """Return the query of all snapshots of the range; its limit does not count.

    Args:
        asked: the range.
        nested: strikes are a list of structs, not JSON text.
    """
    if asked.strikes:
        return _with_strikes(_snapshots(asked), asked, _AS_LIST if nested else _AS_TEXT)
    return f"{_snapshots(asked)} ORDER BY timestamp"


def starts_query(asked: SnapshotsRequest) -> str:
    """Return the query of where the windows of a range begin: every so many snapshots."""
    numbered = (
        "SELECT timestamp, row_number() OVER (ORDER BY timestamp) AS number FROM gex_snapshots "  # noqa: S608 (quoted)
        f"WHERE {_range(asked)}"
    )
    return f"SELECT timestamp FROM ({numbered}) WHERE number % {WINDOW_SNAPSHOTS} = 1 ORDER BY timestamp"  # noqa: S608 (quoted)


def _snapshots(asked: SnapshotsRequest) -> str:
    source = f" AND source = {text_literal(asked.source)}" if asked.source else ""
    return f"SELECT {', '.join(COLUMNS)} FROM gex_snapshots WHERE {_range(asked)}{source}"  # noqa: S608 (quoted)


def _with_strikes(snapshots: str, asked: SnapshotsRequest, aggregate: str) -> str:
    return (
        f"WITH page AS ({snapshots}), profiles AS ("  # noqa: S608 (quoted)
        f"SELECT timestamp, {aggregate} AS strikes FROM gex_strikes SEMI JOIN page USING (timestamp) "
        f"WHERE {_range(asked)} GROUP BY timestamp) "
        "SELECT page.*, strikes FROM page LEFT JOIN profiles USING (timestamp) ORDER BY timestamp"
    )


def _range(asked: SnapshotsRequest) -> str:
    return (
        f"ticker = {text_literal(asked.ticker)} AND endpoint = {text_literal(asked.endpoint)} "
        f"AND timestamp >= {asked.first_ms} AND timestamp < {asked.end_ms}"
    )
