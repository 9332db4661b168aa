"""Settings of the fetcher."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from shared.source_settings import SourceSettings

_GIB: Final = 1024**3


class FetcherSettings(SourceSettings):
    """What the fetcher needs to know."""

    fetch_slots: int = Field(4, ge=1, le=64)
    """How many files are fetched at once; with more than one, the last free slot waits for critical work."""
    fetch_connect_timeout_s: float = Field(10.0, gt=0)
    fetch_read_timeout_s: float = Field(60.0, gt=0)
    """How long a source may say nothing."""
    fetch_timeout_s: float = Field(3600.0, gt=0)
    """How long one attempt at a file may take, however steadily its bytes trickle in."""
    max_file_bytes: int = Field(2 * _GIB, ge=1)
    """A larger file is refused."""
