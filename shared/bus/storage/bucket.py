"""Keys of a key-value bucket, written by compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError
from nats.js.kv import KV_DEL, KV_OP

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors

_WRONG_REVISION: Final = frozenset({10071, 10164})
"""JetStream's error codes for a message that is not the subject's last any more."""


class Entry(NamedTuple):
    """The newest revision of a key."""

    value: bytes | None
    """None if there is none, or if it was deleted."""
    revision: int
    """To be given when it is written again; 0 if the key never had a value."""


class Bucket:
    """A key-value bucket; it is on the broker's disk when a method returns.

    Args:
        bus: the connection.
        name: of the bucket.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name
        self._prefix = subjects.bucket_prefix(name)

    async def read(self, key: str) -> Entry:
        """Return the newest revision of a key.

        Raises:
            BrokerUnavailable: the broker did not reply in time.
        """
        with translate_errors(f"read {self._name}"):
            try:
                stream = subjects.bucket_stream(self._name)
                message = await self._bus.js.get_msg(stream, subject=self._prefix + key, direct=False)
            except NotFoundError:
                return Entry(None, 0)
        is_deleted = KV_OP in (message.headers or {})
        return Entry(None if is_deleted else message.data, message.seq or 0)

    async def write(self, key: str, value: bytes, revision: int, *, ttl_s: int | None = None) -> int | None:
        """Write a key and return its new revision; None if it was written after ``revision``.

        Args:
            key: which.
            value: the new one.
            revision: the newest that is known.
            ttl_s: after so many seconds the broker removes it, unless it is written again.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: the bucket is at its byte cap.
        """
        return await self._publish(key, value, revision, {}, ttl_s)

    async def delete(self, key: str, revision: int, headers: Mapping[str, str] | None = None) -> int | None:
        """Delete a key and return its marker's revision; None if it was written after ``revision``.

        Args:
            key: which.
            revision: the newest that is known.
            headers: of the marker, which has no value.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: the bucket is at its byte cap.
        """
        return await self._publish(key, b"", revision, {**(headers or {}), KV_OP: KV_DEL})

    async def _publish(
        self, key: str, value: bytes, revision: int, headers: Mapping[str, str], ttl_s: int | None = None
    ) -> int | None:
        expected = {str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(revision)}
        with translate_errors(f"write {self._name}", self._name):
            try:
                ack = await self._bus.js.publish(
                    self._prefix + key, value, headers={**headers, **expected}, msg_ttl=ttl_s
                )
            except APIError as error:
                if error.err_code not in _WRONG_REVISION:
                    raise
                return None
        return ack.seq
