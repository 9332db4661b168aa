"""Settings of the fetcher."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from shared.process.settings import aliases
from shared.sources.settings import SourceSettings

_KIB: Final = 1024
_GIB: Final = 1024**3
_KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")

Seconds = Annotated[float, Field(le=24 * 3600)]
"""From these it is worked out when something is to be: a day at most, and no infinity."""


def _fit_key(key: SecretStr) -> SecretStr:
    if not _KEY.fullmatch(key.get_secret_value()):
        raise ValueError("a key has no blanks and no other than ASCII characters")
    return key


class FetcherSettings(SourceSettings):
    """What the fetcher needs to know."""

    fetch_slots: int = Field(4, ge=1, le=64)
    """How many files are fetched at once; with more than one, the last free slot waits for critical work."""
    fetch_connect_timeout_s: Seconds = Field(10.0, gt=0)
    fetch_read_timeout_s: Seconds = Field(60.0, gt=0)
    """How long a source may say nothing."""
    fetch_timeout_s: float = Field(3600.0, gt=0)
    """How long one attempt at a file may take, however steadily its bytes trickle in."""
    fetch_min_bytes_per_s: int = Field(10 * _KIB, ge=0)
    """A source that sends less is given up on; 0 waits however slow it is."""
    fetch_min_speed_window_s: float = Field(30.0, gt=0)
    """Over how many seconds of waiting for it the minimum speed is taken."""
    fetch_bytes_per_s: int = Field(0, ge=0)
    """What all fetches together may take of the network; 0 is no cap."""
    fetch_retry_after_max_s: float = Field(300.0, ge=0)
    """A source that asks for a longer pause is asked again after this one."""
    max_file_bytes: int = Field(2 * _GIB, ge=1)
    """A file that is larger, or inflates to more, is refused."""
    gexbot_api_key: Annotated[SecretStr, AfterValidator(_fit_key)] | None = Field(
        None, validation_alias=aliases("GEXLAKE_GEXBOT_API_KEY", "GEXBOT_API_KEY")
    )
    """Shown to the vendor's API, and to nobody else."""
    source_max_failures: int = Field(5, ge=1)
    """After so many failures in a row, a source is left alone for a while."""
    source_pause_s: Seconds = Field(30.0, gt=0)
    """How long the first time; it doubles each time that the source has not come back."""
    source_longest_pause_s: Seconds = Field(600.0, gt=0)
