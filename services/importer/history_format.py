"""The vendor's history record: its fields, their types, and the columns that they become.

Source: the vendor's public API specification; see docs/architecture.md for the tables.
"""

from __future__ import annotations

from typing import Final

REQUIRED_NUMBERS: Final = ("timestamp", "spot")
OPTIONAL_NUMBERS: Final = (
    "zero_gamma",
    "major_pos_vol",
    "major_pos_oi",
    "major_neg_vol",
    "major_neg_oi",
    "sum_gex_vol",
    "sum_gex_oi",
    "delta_risk_reversal",
    "call_wall_candidate1_pct",
    "call_wall_candidate2_pct",
    "put_wall_candidate1_pct",
    "put_wall_candidate2_pct",
)
INTEGERS: Final = ("min_dte", "sec_min_dte")
MAX_RECORD_BYTES: Final = 32 * 1024 * 1024

JSON_COLUMNS: Final = {
    **dict.fromkeys((*REQUIRED_NUMBERS, "ticker", *OPTIONAL_NUMBERS, *INTEGERS, "max_priors"), "JSON"),
    "strikes": "JSON[][]",
}
"""How the file is read. Scalars stay JSON until they are checked: named as numbers, DuckDB would take text
and booleans for numbers, and round fractional seconds."""

SNAPSHOT_COLUMNS: Final = {
    "timestamp": "timestamp_ms",
    "ticker": "$ticker",
    "endpoint": "$endpoint",
    "spot_price": "CAST(spot AS DOUBLE)",
    **{name: f"CAST({name} AS DOUBLE)" for name in OPTIONAL_NUMBERS},
    **{name: f"CAST({name} AS INTEGER)" for name in INTEGERS},
    "max_priors": "CAST(max_priors AS VARCHAR)",
    "source": "'history'",
    "job_id": "$job_id",
}
"""Column of ``gex_snapshots`` to its expression over the staging table. ``net_gex`` stays NULL: the history
files do not carry it."""

STRIKE_COLUMNS: Final = {
    "timestamp": "timestamp_ms",
    "ticker": "$ticker",
    "endpoint": "$endpoint",
    "strike": "CAST(CAST(strike[1] AS VARCHAR) AS DOUBLE)",
    "gamma": "CAST(CAST(strike[2] AS VARCHAR) AS DOUBLE)",
    "oi_gamma": "CAST(CAST(strike[3] AS VARCHAR) AS DOUBLE)",
    "priors": "CAST(strike[4] AS VARCHAR)",
}
"""Column of ``gex_strikes`` and of the Parquet file to its expression over one element of ``strikes``.
By way of their JSON text, numbers in quotes and booleans fail to become numbers."""
