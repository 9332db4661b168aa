"""What a client may ask for beside the file: urgency, and replacing good data on purpose."""

from __future__ import annotations

from typing import Final

from services.intake.body_fields import BodyFields
from services.intake.errors import Unprocessable
from shared.subjects import Priority

OPTIONS: Final = frozenset({"priority", "force", "reason"})
MAX_REASON_LENGTH: Final = 500


def read_priority(fields: BodyFields) -> Priority | None:
    """Return the priority asked for, or None.

    Raises:
        Unprocessable: it is none of the four.
    """
    text = fields.text("priority")
    try:
        return Priority(text.lower()) if text else None
    except ValueError:
        message = f"priority: {text!r} is no priority: use one of {', '.join(Priority)}"
        raise Unprocessable("priority", "priority", message) from None


def check_reason(reason: str | None, *, force: bool | None) -> str | None:
    """Return the reason for replacing data by worse data; None when that is not asked for.

    Raises:
        Unprocessable: it is asked for without a reason, or the reason is too long.
    """
    if not force:
        return None
    if not reason or not reason.strip():
        raise Unprocessable("reason", "missing", "reason: force needs a reason, which the ledger keeps")
    if len(reason) > MAX_REASON_LENGTH:
        raise Unprocessable("reason", "length", f"reason: at most {MAX_REASON_LENGTH} characters are kept")
    return reason.strip()
