"""Settings of the command line: where intake and the broker answer, and with which key."""

from __future__ import annotations

from typing import Self

from pydantic import Field, FilePath, SecretStr

from gexlake.environment import BrokerSettings, aliases


class CliSettings(BrokerSettings):
    """What ``gexlake`` needs to know."""

    port: int = Field(8877, ge=1, le=65535, validation_alias=aliases("GEXLAKE_PORT", "PORT"))
    url: str = ""
    """Where intake answers; by default the loopback port ``port``."""
    api_key: SecretStr | None = None
    """Sent to intake as a bearer token."""
    to_api_key: SecretStr | None = None
    """Sent to the gexlake that ``gexlake replay-day --to`` posts to."""
    ca_file: FilePath | None = None
    """Certificates of the authorities that sign intake's, in addition to those of SSL_CERT_FILE."""
    ssl_certfile: str = ""
    """Intake's setting: where it is set, intake's default address is https."""

    @property
    def intake_url(self) -> str:
        """Where intake answers, without a slash at its end."""
        scheme = "https" if self.ssl_certfile else "http"
        return (self.url or f"{scheme}://127.0.0.1:{self.port}").rstrip("/")

    def of_source(self, url: str | None) -> Self:
        """Return the settings for a gexlake whose lake is read; None is that of these settings."""
        return self.model_copy(update={"url": url}) if url else self

    def of_target(self, url: str | None) -> Self:
        """Return the settings for a gexlake that is posted to: another one never gets the key of this one."""
        if not url or url.rstrip("/") == self.intake_url:
            return self
        return self.model_copy(update={"url": url, "api_key": self.to_api_key})
