"""Arrays as the text that the reader of history files keeps."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder()


def json_text(value: list[Any] | None) -> bytes | None:
    """Return an array as JSON without blanks, in UTF-8; None stays.

    Small and large numbers are as most writers of JSON have them: 1e-07 and 1e-05, not 1e-7 and 0.00001.
    """
    if value is None:
        return None
    text = _ENCODER.encode(value)
    if b"e" not in text and b"0.0000" not in text:
        return text
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
