"""Redact secrets in text: URL queries, userinfo and API keys. No other module does this.

Keys of vendors have no form by which they could be recognized, so a service names those that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

HIDDEN: Final = "[redacted]"

# A query may contain an apostrophe, so the one that closes a quoted URL is redacted too.
_URL_SECRETS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)([?#][^\s\"<>]*)?")
_KEYS = re.compile(r"(?i)(\bbearer\s+|gexbot_custom_)[A-Za-z0-9._~+/=-]+")
_QUERY_SECRETS = re.compile(r"(?i)\b(sig|signature|token|x-amz-[a-z-]+|api_?key)=[^\s&\"'<>]+")
_KEY_HEADERS = re.compile(r"(?i)\b(x-api-key['\"]?:\s*['\"]?)[^\s,'\"<>]+")
SECRET_FIELDS: Final = frozenset(
    {"authorization", "x-api-key", "api_key", "api_keys", "password", "token", "url_keys"}
)

_SECRET_NAMES = re.compile(
    r"(?is)(.*[_-])?(sig|signature|credentials?|secret|token|passw(or)?d|cookie|authorization|api[_-]?keys?|url_keys)"
)
"""The fields of a JSON object, such as ``access_token``, ``x-amz-signature`` and ``Set-Cookie``."""


_MIN_LENGTH: Final = 8
"""A shorter secret would be found in ordinary words."""
_named: Final[set[str]] = set()


def redact_values(secrets: Iterable[str]) -> None:
    """Have secrets of this process redacted from now on, wherever they occur; very short ones are not."""
    _named.update(secret for secret in secrets if len(secret) >= _MIN_LENGTH)


def redact(text: str) -> str:
    """Return ``text`` with every recognised secret replaced by ``[redacted]``."""
    for secret in _named:
        text = text.replace(secret, HIDDEN)
    text = _URL_SECRETS.sub(_hide_query, text)
    text = _KEYS.sub(rf"\1{HIDDEN}", text)
    text = _KEY_HEADERS.sub(rf"\1{HIDDEN}", text)
    return _QUERY_SECRETS.sub(rf"\1={HIDDEN}", text)


def redact_json(value: Any) -> Any:
    """Return a JSON value with the secrets in its texts, and whole secret fields, replaced."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(key): _redact_field(key, each) for key, each in value.items()}
        case list():
            return [redact_json(each) for each in value]
        case _:
            return value


def _redact_field(key: str, value: Any) -> Any:
    return HIDDEN if _SECRET_NAMES.fullmatch(key.strip()) else redact_json(value)


def _hide_query(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{'?' + HIDDEN if match[3] else ''}"
