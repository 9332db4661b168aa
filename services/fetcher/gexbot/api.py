"""Request the signed URL of a day's file from the vendor's API, with httpx.

The key is sent to the API's own address only: redirects are not followed, and the signed URL is downloaded
with another client, which does not have the key.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Final

import httpx
from pydantic import SecretStr

from services.fetcher.errors import SourceBusy, SourceRefused, SourceUnavailable
from services.fetcher.gexbot.errors import (
    NoHistory,
    NoSignedUrl,
    VendorError,
    VendorForbids,
    VendorKeyMissing,
    VendorRefused,
)
from services.fetcher.sources.http_errors import translate_errors
from services.fetcher.sources.response_policy import error_for_status, host_of, retry_after_s
from shared.errors import GexlakeError
from shared.gexbot.error_answer import error_in
from shared.gexbot.partition import Partition
from shared.gexbot.vendor_api import VendorApi
from shared.sources.gate import SourceGate

RESPONSE_TIMEOUT_S: Final = 10.0
"""The maximum time for a whole response."""
MAX_RESPONSE_BYTES: Final = 64 * 1024
_MAX_URL_LENGTH: Final = 8192


class VendorApiClient:
    """Requests signed URLs; the caller keeps the vendor's limit of one request a second.

    Args:
        client: from ``new_client``, for the API's address only.
        api: builds the URL of a day.
        key: the API key; without one every request fails.
        gate: decides which signed URLs may be fetched.
    """

    def __init__(
        self, client: httpx.AsyncClient, api: VendorApi, key: SecretStr | None, gate: SourceGate
    ) -> None:
        self._client = client
        self._api = api
        self._key = key
        self._gate = gate
        self._host = host_of(api.base)

    async def signed_url(self, partition: Partition) -> str:
        """Return the signed URL of a partition's file.

        Raises:
            NoHistory: the vendor has no data for the day.
            Terminal: there is no key, the API refuses, or its response has no URL that may be fetched.
            Transient: it does not respond in time, or is busy.
        """
        if self._key is None:
            raise VendorKeyMissing(self._host)
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S) as deadline:
                content = await self._get(partition, self._key)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise SourceUnavailable(self._host, f"had not answered after {RESPONSE_TIMEOUT_S:g} s") from error
        return self._checked(_url_in(content, self._host))

    async def _get(self, partition: Partition, key: SecretStr) -> bytes:
        headers = {
            "Authorization": f"Bearer {key.get_secret_value()}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        url = self._api.url_of(partition)
        with translate_errors(self._host):
            async with self._client.stream("GET", url, headers=headers, follow_redirects=False) as response:
                if response.status_code == 403:
                    raise VendorForbids(self._host, partition, error_in(await self._read(response)))
                if error := self._refusal(response, partition):
                    raise error
                content = await self._read(response)
        if text := error_in(content):
            raise VendorError(self._host, partition, text)
        return content

    def _refusal(self, response: httpx.Response, partition: Partition) -> GexlakeError | None:
        status = response.status_code
        if status == 404:
            return NoHistory(self._host, partition)
        asked_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        error = error_for_status(self._host, status, asked_s)
        is_final = error is not None and not isinstance(error, SourceBusy)
        return VendorRefused(self._host, partition, status) if is_final else error

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > MAX_RESPONSE_BYTES:
                raise NoSignedUrl(self._host, f"more than {MAX_RESPONSE_BYTES} bytes")
        return bytes(content)

    def _checked(self, url: str) -> str:
        try:
            self._gate.check_redirect(self._api.base, url)
        except ValueError as error:
            raise SourceRefused(f"{self._host} names a URL that is not allowed: {error}") from error
        return url


def _url_in(content: bytes, host: str) -> str:
    """Return the URL in a response; errors do not quote the content, which may be secret."""
    try:
        response = json.loads(content)
    except (ValueError, RecursionError):
        is_page = content.lstrip()[:1] == b"<"
        raise NoSignedUrl(host, "a web page or XML" if is_page else "what is no JSON") from None
    url = response.get("url") if isinstance(response, dict) else None
    if not isinstance(url, str) or not 0 < len(url) <= _MAX_URL_LENGTH:
        raise NoSignedUrl(host, "JSON that names no URL")
    return url
