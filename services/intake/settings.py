"""Settings of the intake service."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, FilePath

from services.intake.api.rate_limits import fit_rate
from shared.process.settings import CommaList, aliases
from shared.sources.settings import SourceSettings

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
