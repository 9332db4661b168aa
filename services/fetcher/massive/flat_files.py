"""Download the vendor's flat files: URLs signed with obstore, opened by the source of all other files.

The signature is made here, just before the download, from a key and a secret of the flat files' own; the
secret is sent nowhere. Resuming, speed limits and checked addresses are those of every download.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import S3Store
from pydantic import SecretStr

from services.fetcher.errors import SignatureRejected, SourceMissing
from services.fetcher.massive.errors import FileKeysMissing, FlatFileNotYet, FlatFileRefused
from services.fetcher.sources.response_policy import host_of
from services.fetcher.sources.source import Body, ResumePoint, Source
from shared.errors import GexlakeError
from shared.massive.flat_files import BUCKET, key_of

if TYPE_CHECKING:
    from obstore.store import S3Credential

PUBLISHED_WITHIN: Final = timedelta(days=4)
"""For so long after the start of its day, a file that is refused is taken for one that is not published yet:
it is due on the next day, and the vendor may be late."""
SIGNED_FOR: Final = timedelta(hours=1)
_REGION: Final = "us-east-1"
"""Part of the signature; the vendor has no regions."""


class _Credentials:
    """Provides the keys of the flat files, and nothing else.

    Keys that are given to the store as such are completed from the environment: with ``AWS_SESSION_TOKEN``,
    a token of somebody else's account would be sent to the vendor.
    """

    def __init__(self, access_key: SecretStr, secret_key: SecretStr) -> None:
        self._access_key = access_key
        self._secret_key = secret_key

    def __call__(self) -> S3Credential:
        return {
            "access_key_id": self._access_key.get_secret_value(),
            "secret_access_key": self._secret_key.get_secret_value(),
            "expires_at": None,
        }


class FlatFiles:
    """Opens the files of days.

    Args:
        source: opens URLs.
        endpoint: the address of the S3 interface.
        access_key: of the flat files, which is not the API key; without one every request fails.
        secret_key: of the flat files.
        clock: returns the time (UTC).
    """

    def __init__(
        self,
        source: Source,
        endpoint: str,
        access_key: SecretStr | None,
        secret_key: SecretStr | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._host = host_of(endpoint)
        self._clock = clock
        self._store = (
            S3Store(
                BUCKET,
                endpoint=endpoint,
                region=_REGION,
                credential_provider=_Credentials(access_key, secret_key),
                virtual_hosted_style_request=False,
                skip_signature=False,
            )
            if access_key and secret_key
            else None
        )

    def signed_url(self, day: date) -> str:
        """Return the signed URL of a day's file; it is a secret.

        Raises:
            FileKeysMissing: there are no keys.
        """
        if self._store is None:
            raise FileKeysMissing(self._host)
        return obstore.sign(self._store, "GET", key_of(day), SIGNED_FOR)

    @asynccontextmanager
    async def open(self, day: date, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
        """Open a day's file, packed with gzip, or the rest of it; a replaced file has another ``etag``.

        Raises:
            FlatFileNotYet: there is none, and the day is recent.
            FlatFileRefused: there is none, the plan does not include it, or the keys are wrong.
            Terminal: it cannot be used for another reason.
            Transient: a retry may succeed; the chunks raise this as well.
        """
        try:
            async with self._source.open(self.signed_url(day), resume_from) as body:
                yield body
        except SignatureRejected as error:
            raise self._refusal(day, error.status) from error
        except SourceMissing as error:
            raise self._refusal(day, 404) from error

    def _refusal(self, day: date, status: int) -> GexlakeError:
        is_recent = self._clock() < datetime.combine(day, time.min, UTC) + PUBLISHED_WITHIN
        return (FlatFileNotYet if is_recent else FlatFileRefused)(self._host, day, status)
