"""Settings of the fetcher."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr, field_validator

from services.fetcher.massive.snapshot_limits import SnapshotLimits
from shared.massive.resources import DEFAULT_STREAM
from shared.process.settings import aliases
from shared.sources.gate import Prefix
from shared.sources.settings import SourceSettings

_KIB: Final = 1024
_GIB: Final = 1024**3
_KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")

Seconds = Annotated[float, Field(le=24 * 3600)]
"""A delay that is added to a time, so it is finite: at most a day."""


def _fit_key(key: SecretStr) -> SecretStr:
    if not _KEY.fullmatch(key.get_secret_value()):
        raise ValueError("expected a key of 1 to 512 printable ASCII characters without blanks")
    return key


class FetcherSettings(SourceSettings):
    """Settings of the fetcher, read from the environment."""

    fetch_slots: int = Field(4, ge=1, le=64)
    """How many files are fetched at once; if more than one, the last free slot is kept for critical work."""
    fetch_connect_timeout_s: Seconds = Field(10.0, gt=0)
    fetch_read_timeout_s: Seconds = Field(60.0, gt=0)
    """How long a source may send nothing."""
    fetch_timeout_s: float = Field(3600.0, gt=0)
    """How long one attempt at a file may take in total."""
    fetch_min_bytes_per_s: int = Field(10 * _KIB, ge=0)
    """An attempt fails when the source sends less; 0 disables the limit."""
    fetch_min_speed_window_s: float = Field(30.0, gt=0)
    """Over how many seconds of waiting the minimum speed is measured."""
    fetch_bytes_per_s: int = Field(0, ge=0)
    """The bandwidth of all fetches together; 0 is no cap."""
    fetch_retry_after_max_s: float = Field(300.0, ge=0)
    """The longest ``Retry-After`` that is honored."""
    max_file_bytes: int = Field(2 * _GIB, ge=1)
    """A file that is larger, as received or inflated, is refused."""
    gexbot_api_key: Annotated[SecretStr, AfterValidator(_fit_key)] | None = Field(
        None, validation_alias=aliases("GEXLAKE_GEXBOT_API_KEY", "GEXBOT_API_KEY")
    )
    """Sent to the vendor's API only."""
    massive_api_key: Annotated[SecretStr, AfterValidator(_fit_key)] | None = Field(
        None, validation_alias=aliases("GEXLAKE_MASSIVE_API_KEY", "MASSIVE_API_KEY", "POLYGON_API_KEY")
    )
    """Sent to Massive's REST API and websocket only."""
    massive_s3_access_key: Annotated[SecretStr, AfterValidator(_fit_key)] | None = Field(
        None, validation_alias=aliases("GEXLAKE_MASSIVE_S3_ACCESS_KEY", "MASSIVE_S3_ACCESS_KEY")
    )
    """Names the account in signatures of Massive's flat files."""
    massive_s3_secret_key: Annotated[SecretStr, AfterValidator(_fit_key)] | None = Field(
        None, validation_alias=aliases("GEXLAKE_MASSIVE_S3_SECRET_KEY", "MASSIVE_S3_SECRET_KEY")
    )
    """Signs the URLs of Massive's flat files; sent nowhere."""
    massive_calls_per_minute: int = Field(
        5,
        ge=1,
        le=60_000,
        validation_alias=aliases(
            "GEXLAKE_MASSIVE_CALLS_PER_MINUTE", "MASSIVE_CALLS_PER_MINUTE", "POLYGON_CALLS_PER_MINUTE"
        ),
    )
    """What the plan of Massive allows all fetchers together."""
    massive_stream: str = DEFAULT_STREAM
    """The URL of Massive's websocket of stocks; its key is sent there, too."""
    bars_snapshot_max_age_h: float = Field(120.0, gt=0, le=10_000)
    """A snapshot that is older is rejected."""
    bars_snapshot_max_spread: float = Field(0.5, ge=0)
    """One whose last quote has a wider spread, as a share of the price, is rejected; 0 for no limit."""
    source_max_failures: int = Field(5, ge=1)
    """After this many failures in a row, the circuit of a source opens."""
    source_pause_s: Seconds = Field(30.0, gt=0)
    """How long the circuit stays open the first time; doubled each time that the probe fails."""
    source_longest_pause_s: Seconds = Field(600.0, gt=0)
    source_outage_limit_h: float = Field(72.0, ge=0, le=14 * 24)
    """How many hours a job waits for a source that is unreachable or keeps failing."""

    @field_validator("massive_stream")
    @classmethod
    def _fit_stream(cls, url: str) -> str:
        if not url.startswith(("wss://", "ws://")):
            raise ValueError(f"{url!r} is no URL of a websocket: write wss://, or ws:// on a loopback host")
        if "*" in url:
            raise ValueError(f"{url!r} has a wildcard: the key goes to one address only")
        Prefix.parse(f"http{url.removeprefix('ws')}")
        return url

    @property
    def has_massive_file_keys(self) -> bool:
        """Whether both keys of Massive's flat files are set."""
        return self.massive_s3_access_key is not None and self.massive_s3_secret_key is not None

    @property
    def snapshot_limits(self) -> SnapshotLimits:
        """Which snapshots are stored."""
        return SnapshotLimits(timedelta(hours=self.bars_snapshot_max_age_h), self.bars_snapshot_max_spread)

    @property
    def vendor_keys(self) -> Iterator[str]:
        """The keys of vendors, which no text may contain."""
        keys = (
            self.gexbot_api_key,
            self.massive_api_key,
            self.massive_s3_access_key,
            self.massive_s3_secret_key,
        )
        return (key.get_secret_value() for key in keys if key is not None)
