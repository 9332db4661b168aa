"""The rows of a page as the answer in JSON; numbers within JSON texts of the lake stay as they were sent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gexlake.api.lake import SqlResponse
from services.intake.errors import Unprocessable
from services.intake.snapshots.request import SnapshotsRequest

_JSON_TEXTS: Final = frozenset({"max_priors", "strikes"})
_NO_STRIKES: Final = msgspec.Raw(b"[]")
_ENCODER: Final = msgspec.json.Encoder()


def encode_page(asked: SnapshotsRequest, found: SqlResponse, path: str) -> bytes:
    """Return a page as JSON: ``gexlake.api.live.SnapshotsPage``.

    Args:
        asked: what it answers.
        found: its rows, as far as an answer of the importer holds them.
        path: of the route.

    Raises:
        Unprocessable: not even one snapshot fits into an answer.
    """
    names = [column.name for column in found.columns]
    rows = found.rows[: asked.limit]
    has_more = found.truncated or len(found.rows) > asked.limit
    if has_more and not rows:
        message = "strikes: the snapshot has more strikes than an answer holds: ask for an Arrow stream"
        raise Unprocessable("strikes", "size", message)
    return _ENCODER.encode(
        {
            "ticker": asked.ticker,
            "endpoint": asked.endpoint,
            "start": asked.start_ms,
            "end": asked.end_ms,
            "snapshots": [_snapshot(names, row, has_strikes=asked.strikes) for row in rows],
            "next": f"{path}?{asked.parameters(rows[-1][0])}" if has_more else None,
        }
    )


def _snapshot(names: list[str], row: tuple[Any, ...], *, has_strikes: bool) -> dict[str, Any]:
    values = {name: _value(name, value) for name, value in zip(names, row, strict=True)}
    if has_strikes and values["strikes"] is None:
        values["strikes"] = _NO_STRIKES
    return values


def _value(name: str, value: Any) -> Any:
    return msgspec.Raw(value.encode()) if name in _JSON_TEXTS and value is not None else value
