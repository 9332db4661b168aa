"""Read the bodies of the routes of priority requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from gexlake.api.priorities.requests import NewPriorityRequest, PriorityChange
from services.intake.epochs import EPOCH
from services.intake.errors import Unprocessable
from services.intake.history.request import HistoryRequest, read_history_request
from services.intake.priorities.facts import Origin
from services.intake.priorities.prioritizer import Choice
from shared.bus.requests import Channel
from shared.gexbot.symbols import parts_of
from shared.process.redaction import redact, redact_json
from shared.sources.gate import SourceGate

MAX_CLOCK_SKEW: Final = timedelta(seconds=5)
"""How far in the future a request may have been made."""
_NAMES: Final = {"url": "source_url", "ticker": "market_symbol", "endpoint": "metadata.endpoint"}
"""The fields of a history request, as the body of a priority request spells them."""


def read_priority_request(
    body: dict[str, Any],
    gate: SourceGate,
    is_optionable: Callable[[str], bool],
    now: datetime,
    client: str,
) -> HistoryRequest:
    """Read the body of ``POST /api/v1/ingest/priority``.

    Args:
        body: the object that was posted.
        gate: which URLs are allowed.
        is_optionable: which symbols are.
        now: the present moment.
        client: which client posted it, without its key.

    Raises:
        Unprocessable: a field is missing, unknown, or breaks a rule; the error names it.
    """
    try:
        asked = NewPriorityRequest.model_validate(body)
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors(include_url=False, include_input=False)) from error
    _check_reason(asked)
    if asked.requested_at is not None:
        _check_time(asked.requested_at, now)
    file = _file_of(asked, gate)
    _check_symbol(asked.market_symbol, file, is_optionable)
    origin = Origin(
        channel=Channel.PRIORITY,
        data_type=asked.data_type,
        market_symbol=asked.market_symbol,
        requested_at=asked.requested_at,
        metadata=redact_json(asked.metadata),
        reason=redact(asked.reason) if asked.reason else None,
        client=client,
    )
    return replace(file, priority=asked.priority, origin=origin)


def read_priority_change(body: dict[str, Any], client: str) -> Choice:
    """Read the body of ``PATCH /api/v1/ingest/priority/{request_id}``.

    Args:
        body: the object that was posted.
        client: which client posted it, without its key.

    Raises:
        Unprocessable: a field is missing, unknown, or breaks a rule; the error names it.
    """
    try:
        change = PriorityChange.model_validate(body)
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors(include_url=False, include_input=False)) from error
    chosen = [each for each in (change.priority_level, change.priority_score) if each is not None]
    if len(chosen) != 1:
        message = "priority_level: give either priority_level or priority_score; the other one follows"
        raise Unprocessable("priority_level", "choice", message)
    return Choice(chosen[0], redact(change.reason), client)


def _check_time(requested_at: datetime, now: datetime) -> None:
    if requested_at > now + MAX_CLOCK_SKEW:
        message = f"requested_at: {requested_at.isoformat()} is in the future; here it is {now.isoformat()}"
        raise Unprocessable("requested_at", "future", message)
    if requested_at < EPOCH:
        message = f"requested_at: {requested_at.isoformat()} is before 1970: send the time of the request"
        raise Unprocessable("requested_at", "range", message)


def _check_reason(asked: NewPriorityRequest) -> None:
    if asked.priority is not None and asked.reason is None:
        message = "reason: a priority in place of what the rules decide needs a reason, which is kept"
        raise Unprocessable("reason", "missing", message)
    if asked.priority is None and asked.reason is not None:
        message = "reason: it says why the client names a priority; send the field priority, or leave it out"
        raise Unprocessable("reason", "unused", message)


def _file_of(asked: NewPriorityRequest, gate: SourceGate) -> HistoryRequest:
    """Return the file: its name has the ticker and the endpoint, or else the body."""
    fields = {
        "url": asked.source_url,
        "ticker": asked.market_symbol,
        "endpoint": asked.metadata.get("endpoint"),
    }
    try:
        return read_history_request(fields, gate)
    except Unprocessable as error:
        field = _NAMES.get(error.field or "", error.field)
        text = str(error).removeprefix(f"{error.field}: ")
        raise Unprocessable(field, error.rule, f"{field}: {text}") from error


def _check_symbol(symbol: str, file: HistoryRequest, is_optionable: Callable[[str], bool]) -> None:
    if not is_optionable(symbol):
        message = (
            f"market_symbol: {symbol!r} is no symbol with options at the vendor; if it is one, add it to "
            "GEXLAKE_OPTIONABLE_SYMBOLS"
        )
        raise Unprocessable("market_symbol", "optionable", message)
    allowed = parts_of(file.ticker)
    if symbol not in allowed:
        message = f"market_symbol: the file is of {file.ticker}, not of {symbol!r}: send {', '.join(allowed)}"
        raise Unprocessable("market_symbol", "file", message)
