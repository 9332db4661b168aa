"""Settings of backups: the broker, as its operator, and the folders."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gexlake.environment import BrokerSettings, aliases


class BackupSettings(BrokerSettings):
    """Where the system and its data are; the names are those of the services."""

    nats_ca_file: Path | None = None
    """Certificates of the authorities that sign the broker's certificate, if the system's do not."""
    secrets_dir: Path | None = None
    """The folder of passwords and keys; by default ``<data_dir>/secrets``."""
    data_dir: Path = Field(Path("data"), validation_alias=aliases("GEXLAKE_DATA_DIR", "DATA_DIR"))
    staging_dir: Path | None = Field(None, validation_alias=aliases("GEXLAKE_STAGING_DIR", "STAGING_DIR"))
    parquet_dir: Path | None = Field(None, validation_alias=aliases("GEXLAKE_PARQUET_DIR", "PARQUET_DIR"))

    @property
    def secrets(self) -> Path:
        """The folder of passwords and keys."""
        return self.secrets_dir or self.data_dir / "secrets"

    @property
    def folders(self) -> dict[str, Path]:
        """The folders of files in the data folder, by their names in a backup."""
        return {
            "parquet": self.parquet_dir or self.data_dir / "parquet",
            "records": self.data_dir / "records",
            "gex": self.data_dir / "gex",
            "archive": self.data_dir / "archive",
            "source": self.staging_dir or self.data_dir / "source",
        }

    @property
    def database(self) -> Path:
        """The importer's DuckDB file."""
        return self.data_dir / "gex_data.db"

    @property
    def url_keys(self) -> Path:
        """The keys of the signed URLs in the streams."""
        return self.secrets / "urls" / "keys"
