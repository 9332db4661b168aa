"""Hand each fetch command to the handler of what it fetches: a file, or rows by Massive's REST API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.fetcher.massive.errors import OtherMassive
from shared.bus.messages import FetchFile
from shared.massive.dataset import MASSIVE
from shared.massive.resources import MassiveUrls, MinuteBars, Snapshots
from shared.sources.url_encryption import UrlCipher

FileHandler: TypeAlias = Callable[[FetchFile], Awaitable[None]]
RowHandler: TypeAlias = Callable[[FetchFile, MinuteBars | Snapshots], Awaitable[None]]


def by_resource(
    massive: MassiveUrls, url_cipher: UrlCipher, fetch_file: FileHandler, fetch_rows: RowHandler
) -> FileHandler:
    """Return a handler that calls the one of a command's resource.

    Args:
        massive: recognizes URLs of Massive.
        url_cipher: decrypts the URLs of commands.
        fetch_file: stages a file, flat files of Massive included.
        fetch_rows: publishes rows.
    """

    async def handle(command: FetchFile) -> None:
        """Handle a command.

        Raises:
            OtherMassive: it is of bars or snapshots, at another address.
        """
        if command.job.endpoint not in MASSIVE.endpoints:
            await fetch_file(command)
            return
        match massive.resource_of(url_cipher.url_of(command)):
            case None:
                raise OtherMassive(command.job.base_url, massive.api, massive.files)
            case MinuteBars() | Snapshots() as rows:
                await fetch_rows(command, rows)
            case _:
                await fetch_file(command)

    return handle
