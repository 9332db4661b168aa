"""Settings that every service has, from the environment (prefix ``GEXLAKE_``) and ``.env``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import CannotStart
from shared.paths import LakePaths

DEFAULT_ACK_WAIT_S: Final = 30.0


def aliases(*names: str) -> AliasChoices:
    """Read a setting from the first of ``names`` that the environment has.

    Those without ``GEXLAKE_`` are of the first system, and come last.
    """
    return AliasChoices(*names)


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list written with commas."""


class Settings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(
        env_prefix="GEXLAKE_",
        env_file=".env",
        # compose.yaml passes settings on as ${NAME:-}: an empty one means "not set".
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
    )

    nats_port: int = Field(4222, ge=1, le=65535)
    nats_url: str = ""
    """Where NATS answers; by default the loopback port ``nats_port``."""
    stream_replicas: int = Field(1, ge=1, le=5)
    """Copies of each stream: 1, or 3 in a cluster."""
    data_dir: Path = Field(Path("data"), validation_alias=aliases("GEXLAKE_DATA_DIR", "DATA_DIR"))
    staging_dir: Path | None = Field(None, validation_alias=aliases("GEXLAKE_STAGING_DIR", "STAGING_DIR"))
    parquet_dir: Path | None = Field(None, validation_alias=aliases("GEXLAKE_PARQUET_DIR", "PARQUET_DIR"))
    log_level: str = Field(
        "INFO",
        validation_alias=aliases("GEXLAKE_LOG_LEVEL", "LOG_LEVEL"),
        pattern="(?i)^(debug|info|warning|error)$",
    )
    log_dir: Path | None = None
    max_attempts: int = Field(
        3,
        ge=1,
        validation_alias=aliases(
            "GEXLAKE_MAX_ATTEMPTS", "GEXLAKE_MAX_IMPORT_ATTEMPTS", "MAX_IMPORT_ATTEMPTS"
        ),
    )
    """Failed attempts of a stage after which a job is given up on."""
    retry_delay_s: float = Field(5.0, ge=0)
    """Pause before the second attempt; it doubles with each one."""
    ack_wait_s: float = Field(DEFAULT_ACK_WAIT_S, ge=0.5)
    """How long a worker may be silent before its message goes to another; the same for all services."""
    drain_timeout_s: float = Field(25.0, ge=0)
    """How long work in hand may go on after SIGTERM before it is given back to the broker."""

    @property
    def broker_url(self) -> str:
        """The URL to connect to."""
        return self.nats_url or f"nats://127.0.0.1:{self.nats_port}"

    @property
    def paths(self) -> LakePaths:
        """Where data lives."""
        return LakePaths.under(self.data_dir, staging=self.staging_dir, parquet=self.parquet_dir)


S = TypeVar("S", bound=Settings)


def load(settings_type: type[S], **overrides: Any) -> S:
    """Read the settings of a service.

    Args:
        settings_type: which.
        overrides: values from command-line flags, by field name; None means not given.

    Raises:
        CannotStart: a setting is unusable; the message names it as the environment spells it.
    """
    try:
        return settings_type(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in problem["loc"][:1])
        shown = _as_the_environment_spells(name, settings_type)
        why = problem["msg"].removeprefix("Value error, ")
        raise CannotStart(f"the setting {shown} is unusable: {why}") from error


def _as_the_environment_spells(name: str, settings_type: type[Settings]) -> str:
    for field in settings_type.model_fields.values():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices) and name in alias.choices:
            return str(next((choice for choice in alias.choices if os.environ.get(str(choice))), name))
    return name if name.isupper() else f"GEXLAKE_{name.upper()}"
