"""Parse the JSON object of a request, whether it came over HTTP or NATS."""

from __future__ import annotations

import json
from typing import Any, Final

from services.intake.errors import BadRequest


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, also one that is encoded twice (a string with JSON in it).

    Raises:
        BadRequest: it is no JSON, or no object.
    """
    value = _parse(body)
    if isinstance(value, str):
        value = _parse(value)
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "a number")
        raise BadRequest("body", "object", f"the body must be a JSON object, but it is {kind}")
    return value


_KINDS: Final = {list: "a list", str: "a string", type(None): "null", bool: "true or false"}


def _parse(text: bytes | str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text, and fits no message
    except RecursionError:
        raise BadRequest("body", "json", "the body is nested too deeply") from None
    except UnicodeError:
        raise BadRequest("body", "json", "the body is not valid UTF-8 text") from None
    except ValueError as error:
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise BadRequest("body", "json", f"the body is not JSON{where}: send a JSON object") from None
    return value
