"""What the tables and the Parquet file of a ``state`` day must hold, by plain Python's ``json``.

Written from docs/formats.md, for files without a fault. Rows are dictionaries by column, in the order of
time; JSON text is compared by its value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

Row = dict[str, Any]

JSON_COLUMNS: Final = frozenset({"max_priors", "priors", "put_cvolume_priors"})
_GEX: Final = (
    *("zero_gamma", "major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi"),
    *("sum_gex_vol", "sum_gex_oi", "delta_risk_reversal", "min_dte", "sec_min_dte", "max_priors"),
    *("call_wall_candidate1_pct", "call_wall_candidate2_pct"),
    *("put_wall_candidate1_pct", "put_wall_candidate2_pct"),
)
_GREEKS: Final = (
    *("min_dte", "sec_min_dte", "major_positive", "major_negative"),
    *("major_long_gamma", "major_short_gamma"),
)
_STRIKE: Final = ("strike", "gamma", "oi_gamma", "priors")
_CONTRACT: Final = (
    *("strike", "call_ivol", "put_ivol", "greek", "priors"),
    *("put_cvolume", "put_cvolume_priors"),
)


def state_snapshots(data: bytes, endpoint: str) -> list[Row]:
    """Return the rows of ``state_snapshots``."""
    return [record_row(record, endpoint, _GEX) for record in in_order(data)]


def state_strikes(data: bytes, endpoint: str) -> list[Row]:
    """Return the rows of ``state_strikes``, and of the Parquet file."""
    return _element_rows(data, endpoint, "strikes", _STRIKE)


def state_greeks(data: bytes, endpoint: str) -> list[Row]:
    """Return the rows of ``state_greeks``."""
    return [record_row(record, endpoint, _GREEKS) for record in in_order(data)]


def state_contracts(data: bytes, endpoint: str) -> list[Row]:
    """Return the rows of ``state_contracts``, and of the Parquet file."""
    return _element_rows(data, endpoint, "mini_contracts", _CONTRACT)


def in_order(data: bytes) -> list[dict[str, Any]]:
    """Return the records of a file, an array or one a line, in the order of time: the first of each time."""
    text = data.decode("utf-8-sig")
    lines = text.splitlines() if text.lstrip().startswith("{") else []
    kept: dict[int, dict[str, Any]] = {}
    for record in [json.loads(line) for line in lines if line.strip()] or json.loads(text):
        kept.setdefault(milliseconds(record), record)
    return [kept[time] for time in sorted(kept)]


def milliseconds(record: dict[str, Any]) -> int:
    """Return a record's time."""
    return round(float(record["timestamp"]) * 1000)


def record_row(record: dict[str, Any], endpoint: str, names: Sequence[str]) -> Row:
    """Return the row of a record; ``names`` are fields whose columns are called as they are."""
    return {
        **_key(record, endpoint),
        "spot_price": record["spot"],
        **{name: record.get(name) for name in names},
    }


def readable(row: Row) -> Row:
    """Return a row of the lake with the value of its JSON text in place of it."""
    return {
        name: json.loads(value) if name in JSON_COLUMNS and value is not None else value
        for name, value in row.items()
    }


def _element_rows(data: bytes, endpoint: str, field: str, names: Sequence[str]) -> list[Row]:
    return [
        {**_key(record, endpoint), **dict.fromkeys(names), **dict(zip(names, element, strict=False))}
        for record in in_order(data)
        for element in record.get(field) or []
    ]


def _key(record: dict[str, Any], endpoint: str) -> Row:
    return {"timestamp": milliseconds(record), "ticker": record["ticker"].upper(), "endpoint": endpoint}
