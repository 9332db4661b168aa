"""Log lines as the first system wrote them: JSON objects with ``time``, ``level`` and ``message``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


_ORDER = tuple(LogLevel)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LineLog:
    """Writes log lines.

    Args:
        level: lines below it are left out.
        stream: where they go.
        clock: the present moment.
    """

    def __init__(self, level: LogLevel, stream: TextIO, clock: Callable[[], datetime] = _utc_now) -> None:
        self._level = level
        self._stream = stream
        self._clock = clock

    def write(self, level: LogLevel, message: str, **fields: Any) -> None:
        """Write one line, if the level is to be logged; fields that are None are left out."""
        if _ORDER.index(level) < _ORDER.index(self._level):
            return
        at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {name: value for name, value in fields.items() if value is not None}
        line = {"time": at, "level": level, "message": message, **shown}
        print(json.dumps(line, default=str), file=self._stream, flush=True)
