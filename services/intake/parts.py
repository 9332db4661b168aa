"""The parts of a running intake, as its routes see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from services.intake.auth import client_name, valid_key
from services.intake.broker_link import BrokerLink
from services.intake.errors import Unauthorized
from services.intake.handlers import JobDesk
from services.intake.metrics_prometheus import Metrics
from services.intake.projection import Projection
from services.intake.rate_limits import RateLimit
from services.intake.settings import IntakeSettings
from shared.sources import SourceGate


@dataclass(frozen=True)
class Parts:
    """Everything that a route may need."""

    settings: IntakeSettings
    gate: SourceGate
    link: BrokerLink
    projection: Projection
    desk: JobDesk
    metrics: Metrics
    history_limit: RateLimit
    clock: Callable[[], datetime]


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that serves a request."""
    return cast(Parts, request.app.state.parts)


Wired = Annotated[Parts, Depends(parts_of)]

_BEARER = HTTPBearer(auto_error=False, description="one of GEXLAKE_API_KEYS, when that is set")
_X_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="the same, as a header of its own")


def require_key(
    request: Request,
    parts: Wired,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    x_api_key: Annotated[str | None, Security(_X_API_KEY)],
) -> str:
    """Let a client in, and return the name by which its requests are counted.

    Raises:
        Unauthorized: keys are set, and it shows none of them.
    """
    keys = parts.settings.api_keys
    key = valid_key((bearer.credentials if bearer else None, x_api_key), keys)
    if keys and key is None:
        raise Unauthorized
    return client_name(key, request.client.host if request.client else None)


ClientName = Annotated[str, Depends(require_key)]
