"""What the table and the Parquet file of an ``orderflow`` day must hold, by plain Python's ``json``.

Written from docs/formats.md, for files without a fault; see ``oracle_state`` for the form of rows.
"""

from __future__ import annotations

from typing import Final

from tests.support.files.oracle_state import Row, in_order, record_row

_NAMES: Final = """
    z_mlgamma z_msgamma o_mlgamma o_msgamma zero_mcall zero_mput one_mcall one_mput
    zcvr ocvr zgr ogr zvanna ovanna zcharm ocharm
    agg_dex one_agg_dex agg_call_dex one_agg_call_dex agg_put_dex one_agg_put_dex
    net_dex one_net_dex net_call_dex one_net_call_dex net_put_dex one_net_put_dex
    dexoflow gexoflow cvroflow one_dexoflow one_gexoflow one_cvroflow
    min_dte sec_min_dte zero_gamma major_pos_vol major_pos_oi major_neg_vol major_neg_oi
    sum_gex_vol sum_gex_oi delta_risk_reversal
"""
NAMES: Final = tuple(_NAMES.split())
"""The fields beside ``spot``, which are columns of their own names."""


def orderflow(data: bytes) -> list[Row]:
    """Return the rows of ``orderflow``, and of the Parquet file."""
    return [record_row(record, "orderflow", NAMES) for record in in_order(data)]
