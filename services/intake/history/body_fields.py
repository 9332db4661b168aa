"""The fields of a posted object, wherever it keeps them, and the options that any request may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from gexlake.api.jobs import Priority
from services.intake.errors import Unprocessable
from shared.process.redaction import redact

RAW_BODY: Final = "raw_body"
OPTIONS: Final = frozenset({"priority", "force", "reason", RAW_BODY})
"""What a client may send beside the URL: urgency, replacing good data on purpose, and the file itself."""
MAX_REASON_LENGTH: Final = 500
_NESTED: Final = ("metadata", "payload", "data")


@dataclass(frozen=True)
class BodyFields:
    """Fields by their lower-case name; those of the outer object win over those of nested ones."""

    values: dict[str, Any]

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """Collect the fields of a body and of its ``metadata``, ``payload`` and ``data``."""
        values: dict[str, Any] = {}
        for level in (body, *(body[key] for key in body if key.lower() in _NESTED)):
            for key, value in level.items() if isinstance(level, dict) else ():
                if value is not None and not isinstance(value, dict):
                    values.setdefault(key.strip().lower(), value)
        return cls(values)

    def text(self, key: str) -> str | None:
        """Return a field's text without surrounding blanks, or None when it is absent or blank.

        Raises:
            Unprocessable: it is no string.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise Unprocessable(key, "string", f"{key}: it must be a string")
        return (value or "").strip() or None

    def flag(self, key: str) -> bool | None:
        """Return a field that is true or false, or None when it is absent.

        Raises:
            Unprocessable: it is something else.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise Unprocessable(key, "boolean", f"{key}: it must be true or false")
        return value

    def strings(self, *, but: frozenset[str]) -> tuple[tuple[str, str], ...]:
        """Return name and text of every string field that is not blank, except those in ``but``."""
        return tuple(
            (key, value.strip())
            for key, value in self.values.items()
            if isinstance(value, str) and value.strip() and key not in but
        )


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
    """Return the reason for replacing data by worse data, as it is kept; None when that is not asked for.

    Secrets are taken out: the ledger shows it to everybody.

    Raises:
        Unprocessable: it is asked for without a reason, or the reason is too long.
    """
    if not force:
        return None
    if not reason or not reason.strip():
        raise Unprocessable("reason", "missing", "reason: force needs a reason, which the ledger keeps")
    if len(reason) > MAX_REASON_LENGTH:
        raise Unprocessable("reason", "length", f"reason: at most {MAX_REASON_LENGTH} characters are kept")
    return redact(reason.strip())
