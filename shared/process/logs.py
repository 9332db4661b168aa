"""Logs: an event name and key-values, JSON unless on a terminal, with secrets redacted in one processor."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.errors import CannotStart
from shared.process.redaction import HIDDEN, SECRET_FIELDS, redact

_QUIET = ("httpx", "httpcore", "apscheduler", "nats")
_LOG_FILE_BYTES = 20_000_000


def configure(service: str, level: str = "INFO", log_dir: Path | None = None) -> None:
    """Send the logs of structlog and the standard library through one redacting pipeline.

    Args:
        service: bound to every line.
        level: a level name of the standard library.
        log_dir: also write ``<service>.log`` there, rotated at 20 MB, as JSON.

    Raises:
        CannotStart: the folder cannot be written to.
    """
    shared = _shared()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_formatter(shared, terminal=sys.stderr.isatty()))
    handlers: list[logging.Handler] = [console]
    if log_dir is not None:
        rotating = _rotating(log_dir, f"{service}.log")
        rotating.setFormatter(_formatter(shared, terminal=False))
        handlers.append(rotating)
    logging.basicConfig(handlers=handlers, level=level.upper(), force=True)
    logging.raiseExceptions = False  # else logging prints a line that it cannot write, unredacted
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_beside(logger: str, log_dir: Path, file_name: str) -> None:
    """Write the lines of one logger to a file of their own, too, in the form of the first system.

    It has ``time`` in place of ``timestamp``, ``message`` of ``event``, and ``level`` in upper case.

    Args:
        logger: its name.
        log_dir: the folder.
        file_name: rotated at 20 MB.

    Raises:
        CannotStart: the folder cannot be written to.
    """
    handler = _rotating(log_dir, file_name)
    handler.setFormatter(_formatter(_shared(), terminal=False, rename=_as_first_system))
    logging.getLogger(logger).addHandler(handler)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]


def _rotating(folder: Path, name: str) -> logging.Handler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return logging.handlers.RotatingFileHandler(folder / name, maxBytes=_LOG_FILE_BYTES, backupCount=5)
    except OSError as error:
        problem = f"no log can be written in {folder}: {error.strerror} (GEXLAKE_LOG_DIR)"
        raise CannotStart(problem) from error


def _formatter(
    shared: list[Processor], *, terminal: bool, rename: Processor | None = None
) -> logging.Formatter:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([rename] if rename else ()),
            renderer,
        ],
    )


def _as_first_system(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    level = str(event.pop("level", "info")).upper()
    first = {
        "time": event.pop("timestamp", None),
        "level": "WARN" if level == "WARNING" else level,
        "message": event.pop("event", None),
    }
    return {**first, **event}


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # Keys of the formatter start with an underscore and are removed before a line is written.
    return {key: value if key.startswith("_") else _clean_field(key, value) for key, value in event.items()}


def _clean_field(key: str, value: Any) -> Any:
    return HIDDEN if key.lower() in SECRET_FIELDS else _clean(value)


def _clean(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {redact(str(key)): _clean_field(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
        case _:
            return redact(str(value))
