"""Settings of the command line: where intake and the broker answer, and with which key."""

from __future__ import annotations

from pydantic import Field, FilePath, SecretStr

from gexlake.environment import BrokerSettings, aliases


class CliSettings(BrokerSettings):
    """What ``gexlake`` needs to know."""

    port: int = Field(8877, ge=1, le=65535, validation_alias=aliases("GEXLAKE_PORT", "PORT"))
    url: str = ""
    """Where intake answers; by default the loopback port ``port``."""
    api_key: SecretStr | None = None
    """Sent to intake as a bearer token."""
    ca_file: FilePath | None = None
    """Certificates of the authorities that sign intake's, in addition to those of SSL_CERT_FILE."""
    ssl_certfile: str = ""
    """Intake's setting: where it is set, intake's default address is https."""

    @property
    def intake_url(self) -> str:
        """Where intake answers, without a slash at its end."""
        scheme = "https" if self.ssl_certfile else "http"
        return (self.url or f"{scheme}://127.0.0.1:{self.port}").rstrip("/")
