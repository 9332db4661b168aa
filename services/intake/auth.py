"""API keys: who is let in, and by which name a client is counted."""

from __future__ import annotations

import hmac
from collections.abc import Iterable


def valid_key(shown: Iterable[str | None], keys: tuple[str, ...]) -> str | None:
    """Return the first shown key that is one of ``keys``, or None.

    Every pair is compared, each in constant time, so that the time taken tells nothing.
    """
    valid = [one for one in shown if one and any([_same(one, key) for key in keys])]  # noqa: C419 (no short cut)
    return valid[0] if valid else None


def client_name(key: str | None, address: str | None) -> str:
    """Return by which name a client's requests are counted: its key if it has one, else its address."""
    return f"key:{key}" if key else f"address:{address or 'unknown'}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
