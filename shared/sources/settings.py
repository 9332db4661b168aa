"""Settings of the allowed sources, shared by intake and fetcher."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from shared.gexbot.vendor_api import DEFAULT_BASE, VendorApi
from shared.massive.resources import DEFAULT_API, DEFAULT_FILES, MassiveUrls
from shared.process.settings import CommaList, Settings
from shared.sources.gate import Prefix, SourceGate
from shared.sources.url_encryption import UrlCipher, parse_keys

DEFAULT_SOURCES: Final = (
    "https://hist.gex.bot/",
    "https://hist.gexbot.com/",
    "https://nfagexbotresearch.blob.core.windows.net/",
    "https://app.gexbot.com/hist/",
    "https://app.gexbot.com/chart/",
)
"""Where the vendor is known to serve history: its host and the fallback, its account of blob storage, and the
paths of its web application."""


class SourceSettings(Settings):
    """The allow-list of source URLs; the service does not start with an invalid entry."""

    allowed_sources: CommaList = DEFAULT_SOURCES
    """Starts of allowed URLs: https, or plain http on a loopback host. By default the vendor's hosts."""
    local_source_dirs: CommaList = ()
    """Absolute folders under which ``file://`` URLs may point."""

    vendor_api: str = DEFAULT_BASE
    """The vendor's API, which backfills ask for signed URLs; the only address that its key is sent to."""
    massive_api: str = DEFAULT_API
    """Massive's REST API; the only address that its key is sent to."""
    massive_files: str = DEFAULT_FILES
    """The address of Massive's flat files (S3)."""
    url_keys: CommaList = Field((), repr=False)
    """Keys that encrypt signed URLs, the newest first; by default those in ``<secrets_dir>/urls/keys``."""

    @field_validator("vendor_api", "massive_api", "massive_files")
    @classmethod
    def _fit_address(cls, address: str) -> str:
        if "*" in address:
            raise ValueError(f"{address!r} has a wildcard: the key goes to one address only")
        return str(Prefix.parse(address)).rstrip("/")

    @field_validator("allowed_sources")
    @classmethod
    def _fit_prefixes(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        SourceGate.parse(prefixes)
        return prefixes

    @field_validator("local_source_dirs")
    @classmethod
    def _fit_folders(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        SourceGate.parse((), folders)
        return folders

    @field_validator("url_keys")
    @classmethod
    def _fit_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if keys:
            parse_keys(keys)
        return keys

    @property
    def api(self) -> VendorApi:
        """The vendor's API."""
        return VendorApi(self.vendor_api)

    @property
    def massive(self) -> MassiveUrls:
        """The URLs of Massive's data."""
        return MassiveUrls(self.massive_api, self.massive_files)

    @property
    def url_cipher(self) -> UrlCipher:
        """What encrypts and decrypts signed URLs."""
        return UrlCipher(self.url_keys, self.secrets / "urls" / "keys")

    @property
    def gate(self) -> SourceGate:
        """The gate that checks every source URL."""
        return SourceGate.parse(self.allowed_sources, self.local_source_dirs)
