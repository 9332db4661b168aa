"""Flat files behind S3's interface: a day's minute bars of all symbols, unadjusted."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from shared.massive.flat_files import BUCKET, day_of
from simulator.massive.rest import Answer, Rest

ACCESS_KEY: Final = "stand-in-access-key"
SECRET_KEY: Final = "stand-in-secret-key"  # noqa: S105 (no secret)
COLUMNS: Final = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
_SIGNED_BY: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/.*Signature=[0-9a-f]{64}")
_SIGNATURE: Final = re.compile("[0-9a-f]{64}")
_RANGE: Final = re.compile(r"bytes=(\d+)-")
_MS_NS: Final = 1_000_000


@dataclass
class FlatFiles:
    """The bucket with the flat files of a market.

    Args:
        rest: has the bars, with the changes to them.
        published: the days whose files exist.
        extra: lines that a day's file has beside its bars, such as ``ACME,0,1,1,1,1,0,0``.
        cut_after_bytes: the connection is closed after so many bytes of a whole file.
    """

    rest: Rest
    published: set[date] = field(default_factory=set)
    extra: dict[date, list[str]] = field(default_factory=dict)
    cut_after_bytes: int | None = None
    _files: dict[date, bytes] = field(default_factory=dict)

    def replace(self, day: date) -> None:
        """Write a day's file again, from the bars as they are now; its ETag changes with its content."""
        self._files.pop(day, None)

    def content(self, day: date) -> bytes:
        """Return a day's file."""
        if day not in self._files:
            self._files[day] = gzip.compress(self._text(day).encode(), compresslevel=1, mtime=0)
        return self._files[day]

    def answer(self, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a GET or HEAD that is signed in its headers or its query.

        A file that is not published is answered with 403, as by S3 for those who may not list the bucket.
        """
        if _access_key(query, headers) != ACCESS_KEY:
            return _refused("InvalidAccessKeyId")
        try:
            day = day_of(path.removeprefix(f"/{BUCKET}/"))
        except ValueError:
            return _refused("AccessDenied")
        if day not in self.published:
            return _refused("AccessDenied")
        content = self.content(day)
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        tags = {"ETag": etag, "Last-Modified": "Sat, 15 Nov 2025 16:00:00 GMT"}
        if headers.get("if-none-match") == etag:
            return Answer(HTTPStatus.NOT_MODIFIED, b"", tags)
        tags["Content-Type"] = "application/gzip"
        start = _start_of(headers, etag)
        if 0 < start < len(content):
            tags["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return Answer(HTTPStatus.PARTIAL_CONTENT, content[start:], tags)
        return Answer(HTTPStatus.OK, content, tags, self.cut_after_bytes)

    def _text(self, day: date) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for symbol in sorted(self.rest.market.symbols):
            writer.writerows(
                (
                    symbol,
                    int(bar.volume) if bar.volume.is_integer() else bar.volume,
                    *(bar.open, bar.close, bar.high, bar.low),
                    bar.timestamp * _MS_NS,
                    bar.trades if bar.trades is not None else "",
                )
                for bar in self.rest.bars(symbol, day)
            )
        return text.getvalue() + "".join(f"{line}\n" for line in self.extra.get(day, ()))


def _start_of(headers: Mapping[str, str], etag: str) -> int:
    """Return where the rest begins that a request asks for; 0 for the whole."""
    match = _RANGE.fullmatch(headers.get("range", ""))
    return int(match[1]) if match and headers.get("if-range", etag) == etag else 0


def _access_key(query: str, headers: Mapping[str, str]) -> str | None:
    """Return whose signature a request has; that it is right is not checked."""
    if match := _SIGNED_BY.fullmatch(headers.get("authorization", "")):
        return match[1]
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    if not _SIGNATURE.fullmatch(fields.get("X-Amz-Signature", "")):
        return None
    return fields.get("X-Amz-Credential", "").partition("/")[0]


def _refused(code: str) -> Answer:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Denied</Message></Error>'
    )
    return Answer(HTTPStatus.FORBIDDEN, body.encode(), {"Content-Type": "application/xml"})
