"""Where the file of a command is: at the URL that it names, or where the vendor's API says when asked.

A URL of the vendor's API has no signature. It is asked for one at the last moment, so that a job may wait for
days before it is done, and again when the source rejects the signature all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from services.fetcher.errors import SignatureRejected, SourceRefused
from services.fetcher.gexbot.errors import FreshUrlRejected, OtherApi
from services.fetcher.gexbot.lease_nats import VendorLease
from services.fetcher.health.source_health_nats import SourceHealthStore
from services.fetcher.sources.response_policy import host_of
from shared.gexbot.partition import Partition
from shared.gexbot.source_name import parse_source_name, vendor_name
from shared.gexbot.vendor_api import ASK, VendorApi, base_of
from shared.sources.record import origin_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Location:
    """From where a file is downloaded, and under which name it is staged."""

    url: str = field(repr=False)
    """With its query, which is a secret."""
    name: str


class AskVendor(Protocol):
    """Somebody who can ask the vendor's API."""

    async def ask(self, partition: Partition) -> str:
        """Return the signed URL of a partition's file.

        Raises:
            Terminal: there is none.
            Transient: asking again may help.
        """
        ...


class Locations:
    """Finds the files of commands.

    Args:
        api: tells the URLs that are to be asked first.
        vendor: is asked.
        turns: keep the vendor's rule of one request a second.
        records: hear how the API answers, as of any source.
    """

    def __init__(
        self, api: VendorApi, vendor: AskVendor, turns: VendorLease, records: SourceHealthStore
    ) -> None:
        self._api = api
        self._vendor = vendor
        self._turns = turns
        self._records = records
        self._signed_for: dict[tuple[str, str], str] = {}
        """By ticker and endpoint the source that the API last named, which is where it will lead again."""

    async def find(self, url: str) -> Location:
        """Return where the file of a command's URL is.

        Raises:
            NoHistory: the vendor has no data for the day.
            Terminal: the URL ends in no name for a file or is of another API, or the API will not tell.
            SourceLeftAlone: the API is, or the source that it last named: its files could not be fetched now.
            Transient: the API may tell later.
        """
        partition = self._api.partition_of(url)
        if partition is None:
            self._refuse_if_of_another_api(url)
            return Location(url, _name_in(url))
        pair = (partition.ticker, partition.endpoint)
        if pair in self._signed_for:
            await self._records.check(self._signed_for[pair])
        async with self._records.asking(url) as asking, self._turns.turn(partition):
            asking.begins()
            signed = await self._vendor.ask(partition)
        if source := origin_of(signed):
            self._signed_for[pair] = source
        is_packed = urlsplit(signed).path.lower().endswith(".gz")
        return Location(signed, vendor_name(partition, ".json.gz" if is_packed else ".json"))

    def _refuse_if_of_another_api(self, url: str) -> None:
        base = base_of(url.removesuffix(ASK)) if url.endswith(ASK) else None
        if base is not None:
            raise OtherApi(base, self._api.base)

    async def download(self, url: str, found: Location, use: Callable[[str], Awaitable[None]]) -> None:
        """Have a file downloaded, and once more with a fresh signature if the API's is rejected.

        Args:
            url: of the command.
            found: where its file is.
            use: downloads from a URL; called again, it goes on with what is there.

        Raises:
            SignatureRejected: the source rejects the command's own URL.
            FreshUrlRejected: it rejects the API's, twice.
            GexlakeError: whatever ``use`` raises otherwise.
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
        return parse_source_name(urlsplit(url).path.rpartition("/")[2]).name
    except ValueError as error:
        raise SourceRefused(str(error)) from error
