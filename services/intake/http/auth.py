"""API keys: who is let in, and by which name a client is counted."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from services.intake.errors import Unauthorized
from services.intake.http.context import AppContext, Context, context_of

_BEARER = HTTPBearer(auto_error=False, description="one of GEXLAKE_API_KEYS, when that is set")
_X_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="the same, as a header of its own")


async def require_key(
    request: Request,
    context: Context,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    x_api_key: Annotated[str | None, Security(_X_API_KEY)],
) -> str:
    """Let a client in, and return the name by which its requests are counted.

    Raises:
        Unauthorized: keys are set, and it shows none of them.
    """
    return _let_in(request, context, bearer.credentials if bearer else None, x_api_key)


def client_of(connection: HTTPConnection) -> str:
    """Do what ``require_key`` does, for a ``DirectRoute`` or a WebSocket.

    Raises:
        Unauthorized: keys are set, and the client shows none of them.
    """
    scheme, credentials = get_authorization_scheme_param(connection.headers.get("authorization"))
    bearer = credentials if scheme.lower() == "bearer" else None
    return _let_in(connection, context_of(connection), bearer, connection.headers.get("x-api-key"))


def _let_in(
    connection: HTTPConnection, context: AppContext, bearer: str | None, x_api_key: str | None
) -> str:
    keys = context.settings.api_keys
    key = valid_key((bearer, x_api_key), keys)
    if keys and key is None:
        raise Unauthorized
    return client_name(key, connection.client.host if connection.client else None)


ClientName = Annotated[str, Depends(require_key)]


def valid_key(shown: Iterable[str | None], keys: tuple[str, ...]) -> str | None:
    """Return the first shown key that is one of ``keys``, or None.

    Every pair is compared, each in constant time, so that the time taken reveals nothing.
    """
    valid = [one for one in shown if one and any([_same(one, key) for key in keys])]  # noqa: C419 (no short cut)
    return valid[0] if valid else None


def client_name(key: str | None, address: str | None) -> str:
    """Return by which name a client's requests are counted: its key if it has one, else its address."""
    return f"key:{key}" if key else f"address:{address or 'unknown'}"


def public_name(client: str) -> str:
    """Return a client's name as it may be stored and shown: of an API key, only a part of its hash.

    Args:
        client: as ``client_name`` returns it.
    """
    key = client.removeprefix("key:")
    return client if key == client else f"key:{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
