"""The vendor's state package: GEX by strike as in the classic one, and the Greeks by strike.

Source: the vendor's public API specification; its published client for the elements of ``mini_contracts``.
docs/formats.md has the fields in words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.importer.formats.classic import CLASSIC, STRIKES
from services.importer.formats.format import Field, Format, Kind, Rows
from shared.gexbot.partition import PACKAGES, endpoint_of

_ENDPOINTS: Final = tuple(filter(None, (endpoint_of("state", category) for category in PACKAGES["state"])))
_OF_GEX: Final = tuple(endpoint for endpoint in _ENDPOINTS if endpoint.startswith("state_gex_"))

STATE_GEX: Final = Format(
    package="state",
    endpoints=_OF_GEX,
    table="state_snapshots",
    fields=CLASSIC.fields,
    rows=replace(STRIKES, table="state_strikes"),
    history="state_history",
    constants=CLASSIC.constants,
)

STATE_GREEKS: Final = Format(
    package="state",
    endpoints=tuple(endpoint for endpoint in _ENDPOINTS if endpoint not in _OF_GEX),
    table="state_greeks",
    fields=(
        Field("spot", required=True, column="spot_price"),
        Field("min_dte", Kind.INTEGER),
        Field("sec_min_dte", Kind.INTEGER),
        Field("major_positive"),
        Field("major_negative"),
        Field("major_long_gamma"),
        Field("major_short_gamma"),
    ),
    rows=Rows(
        field="mini_contracts",
        table="state_contracts",
        parts=(
            Field("strike", required=True),
            Field("call_ivol"),
            Field("put_ivol"),
            # The vendor's client names it after the volume categories, which have the same shape.
            Field("call_cvolume", column="greek"),
            Field("call_cvolume_priors", Kind.NUMBERS, column="priors"),
            Field("put_cvolume"),
            Field("put_cvolume_priors", Kind.NUMBERS),
        ),
        min_parts=4,
    ),
    history="state_greeks_history",
    constants=CLASSIC.constants,
)
