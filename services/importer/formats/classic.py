"""The vendor's classic package: GEX by strike, one record a second.

Source: the vendor's public API specification; docs/formats.md has the fields in words.
"""

from __future__ import annotations

from typing import Final

from services.importer.formats.format import Field, Format, Kind, Rows

STRIKES: Final = Rows(
    field="strikes",
    table="gex_strikes",
    parts=(
        Field("strike", required=True),
        Field("gex_by_volume", column="gamma"),
        Field("gex_by_open_interest", column="oi_gamma"),
        Field("priors", Kind.NUMBERS),
    ),
    min_parts=2,
)

CLASSIC: Final = Format(
    package="classic",
    endpoints=("gex_zero", "gex_one", "gex_full"),
    table="gex_snapshots",
    # net_gex stays NULL: the history files do not carry it.
    fields=(
        Field("spot", required=True, column="spot_price"),
        Field("zero_gamma"),
        Field("min_dte", Kind.INTEGER),
        Field("sec_min_dte", Kind.INTEGER),
        Field("major_pos_vol"),
        Field("major_pos_oi"),
        Field("major_neg_vol"),
        Field("major_neg_oi"),
        Field("sum_gex_vol"),
        Field("sum_gex_oi"),
        Field("delta_risk_reversal"),
        Field("call_wall_candidate1_pct"),
        Field("call_wall_candidate2_pct"),
        Field("put_wall_candidate1_pct"),
        Field("put_wall_candidate2_pct"),
        Field("max_priors", Kind.ARRAY),
    ),
    rows=STRIKES,
    history="gex_history",
    constants=(("source", "'history'"),),
)
