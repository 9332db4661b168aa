"""Settings of the intake service."""

from __future__ import annotations

from typing import Annotated, Any

from limits import parse_many
from pydantic import BeforeValidator, Field, FilePath

from gexlake.environment import CommaList, aliases
from shared.sources.settings import SourceSettings


def fit_rate(value: Any) -> str:
    """Return a rate in the syntax of ``limits``; a bare number is per minute.

    Raises:
        ValueError: it is not a rate, or allows no request.
    """
    text = str(value).strip()
    rate = f"{text}/minute" if text.isdecimal() else text
    try:
        limits = parse_many(rate)
    except ValueError:
        raise ValueError(f"{text!r} is not a rate: write it like 600/minute, 10/second or 600") from None
    if any(limit.amount < 1 or limit.get_expiry() < 1 for limit in limits):
        raise ValueError(f"{text!r} allows no request: a rate is at least 1")
    return rate


Rate = Annotated[str, BeforeValidator(fit_rate)]
"""A rate as ``limits`` writes it (``600/minute``); a bare number is per minute."""


class IntakeSettings(SourceSettings):
    """What intake needs to know."""

    host: str = Field("127.0.0.1", validation_alias=aliases("GEXLAKE_HOST", "HOST"))
    port: int = Field(8877, ge=1, le=65535, validation_alias=aliases("GEXLAKE_PORT", "PORT"))
    cors_origins: CommaList = Field(("*",), validation_alias=aliases("GEXLAKE_CORS_ORIGINS", "CORS_ORIGINS"))
    api_keys: CommaList = Field((), repr=False)
    """Keys that clients must show; none means that everybody is let in."""
    rate_limit_history: Rate = Field(
        "600/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_HISTORY", "RATE_LIMIT_HISTORY")
    )
    """Of each client on ``POST /gex_history_url`` and ``POST /backfill`` together."""
    rate_limit_gex: Rate = Field(
        "6000/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_GEX", "RATE_LIMIT_GEX")
    )
    """For the live routes, which are not served yet: of each client on ``POST /gex``."""
    rate_limit_webhook: Rate = Field(
        "6000/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_WEBHOOK", "RATE_LIMIT_WEBHOOK")
    )
    """For the live routes, which are not served yet: of each client on ``POST /uw``."""
    timeout_keep_alive: int = Field(5, ge=0)
    """Seconds after which an idle connection is closed."""
    ssl_certfile: FilePath | None = None
    """Serve HTTPS with this certificate."""
    ssl_keyfile: FilePath | None = None
    """Its private key, unless the certificate's file holds it."""
