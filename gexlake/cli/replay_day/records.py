"""A stored snapshot as the record that the vendor sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = {"spot_price": "spot"}
"""Columns that the vendor calls otherwise."""
_NOT_SENT: Final = frozenset({"timestamp", "source"})
_MS: Final = 1000


def vendor_record(ticker: str, endpoint: str, snapshot: Mapping[str, Any]) -> bytes:
    """Return the body for ``POST /gex``: the vendor's record as JSON, and its endpoint.

    Args:
        ticker: whose snapshot.
        endpoint: the GEX category.
        snapshot: as ``GET /gex/snapshots`` returns it; what is null is left out.
    """
    timestamp = snapshot["timestamp"]
    record = {
        "timestamp": timestamp if timestamp % _MS else timestamp // _MS,
        "ticker": ticker,
        "endpoint": endpoint,
        **{
            _NAMES.get(name, name): value
            for name, value in snapshot.items()
            if value is not None and name not in _NOT_SENT
        },
    }
    return json.dumps(record, separators=(",", ":")).encode()
