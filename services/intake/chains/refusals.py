"""Why the body of ``POST /api/v1/snapshots`` is refused, from msgspec's errors."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from services.intake.errors import BadRequest, Refused, Unprocessable

_PLACE: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_COMPUTED: Final = frozenset({"data_quality_score", "processed_at"})
_MAX_SHOWN: Final = 80
_RULES: Final = {
    "Number out of range": ("number", "it must be a finite number"),
    "Invalid UUID": ("uuid", "it must be a UUID"),
    "Invalid RFC3339 encoded date": ("date", "it must be a date such as 2025-11-14"),
}
_COMPARISONS: Final = {">": "above", ">=": "at least", "<=": "at most"}
_WORDS: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "object": "an object",
    "array": "an array",
    "uuid": "a UUID",
    "date": "a date such as 2025-11-14",
    "null": "null",
    "bool": "true or false",
}


def refusal_of(error: ValueError | RecursionError) -> Refused:
    """Return the refusal of a body that msgspec cannot read; it names the field."""
    if not isinstance(error, msgspec.ValidationError):
        return BadRequest("body", "json", f"the body is not JSON{_reason(error)}: send a JSON object")
    match = _PLACE.fullmatch(str(error))
    problem, place = (match[1], match[2] or "") if match else (str(error), "")
    if (found := _UNKNOWN.fullmatch(problem)) is not None:
        return _unknown(_within(place, found[1][:_MAX_SHOWN]))
    if (found := _MISSING.fullmatch(problem)) is not None:
        field = _within(place, found[1])
        return Unprocessable(field, "missing", f"{field}: it is missing")
    if not place:
        return BadRequest("body", "object", "the body must be a JSON object")
    rule, text = _RULES.get(problem) or _expected(problem)
    return Unprocessable(place, rule, f"{place}: {text}")


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return " that can be read: it is nested too deeply"
    if isinstance(error, UnicodeError):
        return ": it is not UTF-8 text"
    return f" ({str(error).removeprefix('JSON is malformed: ')[:_MAX_SHOWN]})"


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _unknown(field: str) -> Unprocessable:
    if field in _COMPUTED:
        return Unprocessable(
            field, "computed", f"{field}: it is computed when the snapshot arrives: leave it out"
        )
    return Unprocessable(field, "unknown_field", f"{field}: there is no such field: leave it out")


def _expected(problem: str) -> tuple[str, str]:
    """Return rule and text of ``Expected `float` >= 0.0`` and of ``Expected `int`, got `str```."""
    if found := re.fullmatch(r"Expected `array` of length (>=|<=) (\d+)", problem):
        return "length", f"it must have {_COMPARISONS[found[1]]} {found[2]} elements"
    if found := re.fullmatch(r"Expected `(\w+)` (>=|<=|>) (\S+)", problem):
        return "range", f"it must be {_COMPARISONS[found[2]]} {float(found[3]):g}"
    if found := re.fullmatch(r"Expected `(.+)`, got `(.+)`", problem):
        wanted = " or ".join(_WORDS.get(kind, kind) for kind in found[1].split(" | "))
        return "type", f"it must be {wanted}, not {_WORDS.get(found[2], found[2])}"
    return "value", problem[:1].lower() + problem[1:]
