"""Locate the file of a command: at its URL, or at a signed URL from the vendor's API.

The URL of a flat file of Massive has no signature, either; its source signs it.

A URL of the vendor's API has no signature. The signed URL is requested just before the download, so that a
job may wait for days, and once more if the source rejects the signature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

import structlog

from services.fetcher.errors import SignatureRejected, SourceRefused
from services.fetcher.gexbot.errors import FreshUrlRejected, OtherApi
from services.fetcher.gexbot.lease_nats import VendorLease
from services.fetcher.health.source_health_nats import SourceHealthStore
from services.fetcher.sources.response_policy import host_of
from shared.gexbot.partition import Partition
from shared.gexbot.source_name import read_source_url, vendor_name
from shared.gexbot.vendor_api import NO_REDIRECT, VendorApi, base_of
from shared.massive.flat_files import ENDING
from shared.massive.resources import FlatFile, MassiveUrls
from shared.sources.record import origin_of

SignedUrlOf: TypeAlias = Callable[[Partition], Awaitable[str]]
"""Returns the signed URL of a partition's file; raises ``Terminal`` or ``Transient``."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Location:
    """The URL that a file is downloaded from, and the name that it is staged under."""

    url: str = field(repr=False)
    """Includes the query, which is a secret."""
    name: str


class Locations:
    """Locates the files of commands.

    Args:
        api: recognizes URLs of the vendor's API.
        massive: recognizes URLs of Massive's flat files.
        signed_url: returns the signed URL of a partition's file, from the API.
        lease: keeps the vendor's limit of one request a second.
        health: records the health of the API, as of any source.
    """

    def __init__(
        self,
        api: VendorApi,
        massive: MassiveUrls,
        signed_url: SignedUrlOf,
        lease: VendorLease,
        health: SourceHealthStore,
    ) -> None:
        self._api = api
        self._massive = massive
        self._signed_url = signed_url
        self._lease = lease
        self._health = health
        self._last_origin: dict[tuple[str, str], str] = {}
        """The origin of the last signed URL, by ticker and endpoint; the next one probably has the same."""

    async def find(self, url: str) -> Location:
        """Return the location of the file of a command's URL.

        Raises:
            NoHistory: the vendor has no data for the day.
            Terminal: the URL has no file name or is of another API, or the API refuses.
            CircuitOpenError: the circuit of the API, or of the source that it last named, is open.
            Transient: a retry may succeed.
        """
        partition = self._api.partition_of(url)
        if partition is None:
            self._refuse_if_of_another_api(url)
            return self.named(url)
        pair = (partition.ticker, partition.endpoint)
        if pair in self._last_origin:
            await self._health.check(self._last_origin[pair])
        async with self._health.track(url) as request, self._lease.hold(partition):
            request.restart_timer()
            signed = await self._signed_url(partition)
        if source := origin_of(signed):
            self._last_origin[pair] = source
        is_packed = urlsplit(signed).path.lower().endswith(".gz")
        return Location(signed, vendor_name(partition, ".json.gz" if is_packed else ".json"))

    def named(self, url: str) -> Location:
        """Return the location of a URL that is not of the vendor's API.

        Raises:
            SourceRefused: the URL has no file name.
        """
        flat_file = self._massive.resource_of(url)
        if isinstance(flat_file, FlatFile):
            return Location(url, f"{flat_file.day}{ENDING}")
        return Location(url, _name_in(url))

    def _refuse_if_of_another_api(self, url: str) -> None:
        base = base_of(url.removesuffix(NO_REDIRECT)) if url.endswith(NO_REDIRECT) else None
        if base is not None:
            raise OtherApi(base, self._api.base)

    async def download(self, url: str, found: Location, use: Callable[[str], Awaitable[None]]) -> None:
        """Download a file, and once more from a fresh URL if the signature from the API is rejected.

        Args:
            url: the URL of the command.
            found: the location of its file.
            use: downloads from a URL; a second call resumes the download.

        Raises:
            SignatureRejected: the source rejects the command's own URL.
            FreshUrlRejected: the source rejects two URLs of the API.
            GexlakeError: any other error of ``use``.
        """
        try:
            await use(found.url)
        except SignatureRejected:
            if self._api.partition_of(url) is None:
                raise
            log.info("signature_rejected", source=host_of(found.url))
            fresh = await self.find(url)
            try:
                await use(fresh.url)
            except SignatureRejected as error:
                raise FreshUrlRejected(host_of(self._api.base), host_of(fresh.url)) from error


def _name_in(url: str) -> str:
    try:
        return read_source_url(urlsplit(url)).name
    except ValueError as error:
        raise SourceRefused(str(error)) from error
