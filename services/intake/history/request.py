"""Read the body of ``POST /gex_history_url``, whose keys are flexible, into a ``HistoryRequest``.

The formats are the first system's: any string may hold the URL, any string that starts with ``gex_`` or
``state_`` or is ``orderflow`` is the endpoint, ``ticker``, ``symbol``, ``underlying`` or the remaining string
is the ticker, and ``metadata``, ``payload`` or ``data`` may hold them too. Ticker, package and endpoint of
the file's name take precedence over the body. ``raw_body`` may be the file itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlunsplit
from uuid import UUID

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import MAX_METADATA_BYTES, MAX_METADATA_DEPTH, is_nested_deeper
from services.intake.errors import Unprocessable
from services.intake.history.body_fields import OPTIONS, BodyFields, check_reason, read_priority
from services.intake.history.posted_file import PostedFile, read_posted_file
from services.intake.priorities.facts import Demand, Origin
from shared.bus.messages import digest_of, digest_with_body, job_id_of
from shared.gexbot.partition import ENDPOINTS, PACKAGES, category_named, in_package, normalize_ticker
from shared.gexbot.source_name import SourceName, read_source_url
from shared.process.redaction import redact_json
from shared.sources.gate import SourceGate

MAX_URL_LENGTH: Final = 8192
_TICKER_KEYS: Final = ("ticker", "symbol", "underlying")
_ENDPOINT_KEYS: Final = frozenset({"endpoint", "feed", "kind", "type", "gex_type"})
"""Their strings are never tickers, and may have further names of a category, such as ``full``."""
_LETTER: Final = re.compile("[A-Za-z]")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True)
class HistoryRequest:
    """A day of history that a client wants in the lake."""

    ticker: str
    endpoint: str
    trading_day: date | None
    base_url: str
    url: str = field(repr=False)
    """With its query, which is a secret."""
    priority: Priority | None = None
    """None when the client did not say."""
    force: bool | None = None
    reason: str | None = None
    posted: PostedFile | None = None
    """The file itself, in place of a fetch."""
    origin: Origin = field(default_factory=Origin)
    """How it came, and what it says beside the file."""

    @property
    def demand(self) -> Demand:
        """What its priority depends on."""
        return Demand(self.base_url, self.ticker, self.endpoint, self.trading_day, self.priority, self.origin)

    @property
    def job_id(self) -> UUID:
        """The identity of the job."""
        return job_id_of(self.ticker, self.endpoint, self.base_url)

    @property
    def url_sha256(self) -> str:
        """The digest of the whole URL, and of the posted file."""
        return digest_with_body(digest_of(self.url), self.posted.sha256 if self.posted else None)


def read_history_request(body: dict[str, Any], gate: SourceGate, client: str | None = None) -> HistoryRequest:
    """Find the URL, the endpoint, the ticker and the options in a body.

    Args:
        body: what was posted.
        gate: which URLs are allowed.
        client: which client posted it, without its key.

    Raises:
        Unprocessable: one is missing or breaks a rule; the error names it.
    """
    fields = BodyFields.of(body)
    parts = _find_url(fields, gate)
    source = _read_name(parts)
    start = _canonical_start(parts)
    force = fields.flag("force")
    posted = read_posted_file(fields)
    base_url, day = urlunsplit((*start, parts.path, "", "")), source.trading_day
    if source.name != parts.path.rpartition("/")[2]:  # a path without a file name
        day = day or (posted.trading_day if posted else None)
        if day and str(day) not in parts.path:
            # The day is in the query or in the posted file, and two days are two jobs.
            base_url = f"{base_url.rstrip('/')}/{day}"
    return HistoryRequest(
        ticker=_find_ticker(fields, source),
        endpoint=_find_endpoint(fields, source),
        trading_day=day,
        base_url=base_url,
        url=urlunsplit((*start, parts.path, parts.query, "")),
        priority=read_priority(fields),
        force=force,
        reason=check_reason(fields.text("reason"), force=force),
        posted=posted,
        origin=Origin(metadata=_small_metadata(body), client=client),
    )


def _small_metadata(body: dict[str, Any]) -> dict[str, Any]:
    """Return what rules read as metadata, without the fields that have a meaning of their own."""
    found = next((value for key, value in body.items() if key.strip().lower() == "metadata"), None)
    if not isinstance(found, dict):
        return {}
    metadata = {key: value for key, value in found.items() if key.strip().lower() not in OPTIONS | {"url"}}
    is_small = len(json.dumps(metadata, ensure_ascii=False).encode()) <= MAX_METADATA_BYTES
    if not is_small or is_nested_deeper(metadata, MAX_METADATA_DEPTH):
        return {}
    return cast("dict[str, Any]", redact_json(metadata))


def _find_url(fields: BodyFields, gate: SourceGate) -> SplitResult:
    named = fields.text("url")
    found = [named] if named else [text for _, text in fields.strings(but=OPTIONS) if _is_url(text)]
    if not found:
        message = 'url: no field holds a URL; send {"url": "https://…"} with the URL of a history file'
        raise Unprocessable("url", "missing", message)
    refusals = []
    for text in found:
        try:
            return _check_url(text, gate)
        except Unprocessable as error:
            refusals.append(error)
    raise refusals[0]


def _check_url(text: str, gate: SourceGate) -> SplitResult:
    if len(text) > MAX_URL_LENGTH:
        message = f"url: it has {len(text)} characters; at most {MAX_URL_LENGTH} are allowed"
        raise Unprocessable("url", "length", message)
    try:
        return gate.check(text)
    except ValueError as error:
        raise Unprocessable("url", "allowed_source", f"url: {error}") from error


def _read_name(parts: SplitResult) -> SourceName:
    try:
        source = read_source_url(parts)
    except ValueError as error:
        raise Unprocessable("url", "file_name", f"url: {error}") from error
    if source.package and source.category and not source.endpoint:
        supported = ", ".join(PACKAGES[source.package])
        message = f"url: {source.category!r} is no category of the package {source.package!r}: {supported}"
        raise Unprocessable("url", "category", message)
    return source


def _find_endpoint(fields: BodyFields, source: SourceName) -> str:
    asked = _asked_endpoint(fields)
    if source.endpoint is not None:
        return source.endpoint
    if asked is None:
        message = (
            "endpoint: none is to be found in the body or in the file's name; "
            f"send one of {', '.join(ENDPOINTS)}"
        )
        raise Unprocessable("endpoint", "missing", message)
    if source.package is None:
        return asked
    endpoint = in_package(asked, source.package)
    if endpoint is None:
        message = f"endpoint: {asked!r} is no category of the file's package {source.package!r}"
        raise Unprocessable("endpoint", "package", message)
    return endpoint


def _asked_endpoint(fields: BodyFields) -> str | None:
    named = fields.text("endpoint")
    strings = fields.strings(but=OPTIONS | {"url"})
    found = [named] if named else [text for key, text in strings if _is_endpoint(key, text)]
    names = (text.lower() if named else category_named(text.lower()) for text in found)
    valid = [name for name in names if name in ENDPOINTS]
    if found and not valid:
        message = f"endpoint: {found[0][:80]!r} is not an endpoint; use one of {', '.join(ENDPOINTS)}"
        raise Unprocessable("endpoint", "endpoint", message)
    return valid[0] if valid else None


def _find_ticker(fields: BodyFields, source: SourceName) -> str:
    named = [_fit_ticker(key, text) for key in _TICKER_KEYS if (text := fields.text(key))]
    if source.ticker is not None:
        return source.ticker
    if named:
        return named[0]
    strings = fields.strings(but=OPTIONS | _ENDPOINT_KEYS | {"url"})
    remaining = [string for string in strings if _may_be_ticker(string[1])]
    if len(remaining) == 1:
        return _fit_ticker(*remaining[0])
    if remaining:
        names = ", ".join(repr(key[:40]) for key, _ in remaining[:5])
        message = f'ticker: the file\'s name has none, and any of {names} may be it; send {{"ticker": "…"}}'
        raise Unprocessable("ticker", "ambiguous", message)
    message = 'ticker: none is to be found in the body or in the file\'s name; send {"ticker": "…"}'
    raise Unprocessable("ticker", "missing", message)


def _fit_ticker(key: str, text: str) -> str:
    try:
        return normalize_ticker(text)
    except ValueError as error:
        raise Unprocessable(key, "ticker", f"{key}: {error}") from error


def _is_url(text: str) -> bool:
    return "://" in text


def _is_endpoint(key: str, text: str) -> bool:
    if key in _ENDPOINT_KEYS and category_named(text.lower()) in ENDPOINTS:
        return True
    return text.lower().startswith(("gex_", "state_")) or text.lower() == "orderflow"


def _may_be_ticker(text: str) -> bool:
    # A ticker has a letter: "2025-11-14" is a date that some scripts send along.
    return not _is_url(text) and not _is_endpoint("", text) and bool(_LETTER.search(text))


def _canonical_start(parts: SplitResult) -> tuple[str, str]:
    """Return scheme and host in one spelling, so that one file is one job."""
    if parts.scheme == "file":
        return parts.scheme, ""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_default = parts.port in {None, _DEFAULT_PORTS[parts.scheme]}
    return parts.scheme, host if is_default else f"{host}:{parts.port}"
