"""The vendor's orderflow package: flat records, one a second.

Source: the vendor's public API specification; docs/formats.md has the fields in words.
"""

from __future__ import annotations

from typing import Final

from services.importer.formats.format import Field, Format, Kind

_LEVELS: Final = (
    *("z_mlgamma", "z_msgamma", "o_mlgamma", "o_msgamma"),
    *("zero_mcall", "zero_mput", "one_mcall", "one_mput"),
)
_STATE: Final = (
    *("zcvr", "ocvr", "zgr", "ogr", "zvanna", "ovanna", "zcharm", "ocharm"),
    *("agg_dex", "one_agg_dex", "agg_call_dex", "one_agg_call_dex", "agg_put_dex", "one_agg_put_dex"),
    *("net_dex", "one_net_dex", "net_call_dex", "one_net_call_dex", "net_put_dex", "one_net_put_dex"),
)
_FLOW: Final = ("dexoflow", "gexoflow", "cvroflow", "one_dexoflow", "one_gexoflow", "one_cvroflow")
_OF_GEX: Final = (
    *("zero_gamma", "major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi"),
    *("sum_gex_vol", "sum_gex_oi", "delta_risk_reversal"),
)
"""The API returns them; files so far do not have them."""

ORDERFLOW: Final = Format(
    package="orderflow",
    endpoints=("orderflow",),
    table="orderflow",
    fields=(
        Field("spot", required=True, column="spot_price"),
        *(Field(name) for name in (*_LEVELS, *_STATE, *_FLOW)),
        Field("min_dte", Kind.INTEGER),
        Field("sec_min_dte", Kind.INTEGER),
        *(Field(name) for name in _OF_GEX),
    ),
    rows=None,
    history="orderflow_history",
    constants=(("source", "'history'"),),
)
