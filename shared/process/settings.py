"""Settings that every service has, from the environment (prefix ``GEXLAKE_``) and ``.env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import Field, SecretStr

from gexlake import environment
from gexlake.environment import BrokerSettings, CommaList, UnusableSetting, aliases
from shared.errors import CannotStart
from shared.paths import LakePaths

__all__ = ["CommaList", "Settings", "aliases", "load"]

DEFAULT_ACK_WAIT_S: Final = 30.0
DEFAULT_FEED_MAX_MB: Final = 2048


class Settings(BrokerSettings):
    """Settings that every service has."""

    stream_replicas: int = Field(1, ge=1, le=5)
    """Copies of each stream: 1, or 3 in a cluster."""
    feed_max_mb: int = Field(DEFAULT_FEED_MAX_MB, ge=16)
    """The size of ``FEED`` in MiB, before compression; the same for all services."""
    nats_user: str = ""
    """The user on the broker; by default the name of the service."""
    nats_password: SecretStr | None = None
    """The user's password; by default the content of ``<secrets_dir>/<user>/nats-password``."""
    nats_ca_file: Path | None = None
    """Certificates of the authorities that sign the broker's certificate, if the system's do not."""
    secrets_dir: Path | None = None
    """The folder of passwords and keys; by default ``<data_dir>/secrets``."""
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
    """How many failed attempts of a stage make a job fail permanently."""
    retry_delay_s: float = Field(5.0, ge=0)
    """Delay before the second attempt; it doubles with each further one."""
    ack_wait_s: float = Field(DEFAULT_ACK_WAIT_S, ge=0.5)
    """How long the broker waits for an in-progress heartbeat before it redelivers a message."""
    drain_timeout_s: float = Field(25.0, ge=0)
    """How long running work may continue after SIGTERM before it is returned to the broker."""

    @property
    def secrets(self) -> Path:
        """The folder of passwords and keys."""
        return self.secrets_dir or self.data_dir / "secrets"

    @property
    def paths(self) -> LakePaths:
        """The paths of the lake."""
        return LakePaths.under(self.data_dir, staging=self.staging_dir, parquet=self.parquet_dir)


S = TypeVar("S", bound=Settings)


def load(settings_type: type[S], **overrides: Any) -> S:
    """Read the settings of a service.

    Args:
        settings_type: the class of the service's settings.
        overrides: values from command-line flags, by field name; None means not given.

    Raises:
        CannotStart: a setting is not valid; the message names it as the environment spells it.
    """
    try:
        return environment.load(settings_type, **overrides)
    except UnusableSetting as error:
        raise CannotStart(str(error)) from error
