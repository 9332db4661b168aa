"""Settings of the intake service."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, FilePath, model_validator

from gexlake.environment import CommaList, aliases
from shared.gexbot.partition import normalize_ticker
from shared.gexbot.symbols import OPTIONABLE
from shared.sources.settings import SourceSettings

ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (read, not listened on)
"""Hosts to listen on that stand for all addresses of the machine."""
_ANY: Final = "*"
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@*]+/?", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*")


def fit_rate(value: Any) -> str:
    """Return a rate in the syntax of ``limits``; a bare number is per minute.

    Raises:
        ValueError: it is not a rate, or allows no request.
    """
    text = str(value).strip()
    rate = f"{text}/minute" if text.isdecimal() else text
    try:
        limits = parse_many(rate)
    except ValueError:
        raise ValueError(f"{text!r} is not a rate: write it like 600/minute, 10/second or 600") from None
    if any(limit.amount < 1 or limit.get_expiry() < 1 for limit in limits):
        raise ValueError(f"{text!r} allows no request: a rate is at least 1")
    return rate


Rate = Annotated[str, BeforeValidator(fit_rate)]
"""A rate as ``limits`` writes it (``600/minute``); a bare number is per minute."""


def _fit_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins as browsers write them.

    Raises:
        ValueError: one is not an origin.
    """
    for origin in origins:
        if origin != _ANY and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is not an origin: write it like https://example.com, without a path"
            )
    return tuple(origin.lower().rstrip("/") for origin in origins)


def _fit_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Return host names in lower case, and IPv6 addresses without brackets.

    Raises:
        ValueError: one is not a host name.
    """
    bare = tuple(host.lower().strip("[]") for host in hosts)
    for host in bare:
        if host != _ANY and not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host name: write it without a scheme and a port")
    return bare


def _fit_symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return symbols as tickers are written.

    Raises:
        ValueError: one has a character that no ticker has.
    """
    return tuple(symbol if symbol == _ANY else normalize_ticker(symbol) for symbol in symbols)


class IntakeSettings(SourceSettings):
    """What intake needs to know."""

    host: str = Field("127.0.0.1", validation_alias=aliases("GEXLAKE_HOST", "HOST"))
    port: int = Field(8877, ge=1, le=65535, validation_alias=aliases("GEXLAKE_PORT", "PORT"))
    published_host: str = ""
    """In a container: the address of the machine on which the container's port is published."""
    allow_network_without_keys: bool = False
    """Start on an address that other machines reach, although ``api_keys`` is empty."""
    allowed_hosts: Annotated[CommaList, AfterValidator(_fit_hosts)] = ()
    """Host names, without ports, that clients use in addition to those of the loopback; ``*`` for any."""
    cors_origins: Annotated[CommaList, AfterValidator(_fit_origins)] = Field(
        (), validation_alias=aliases("GEXLAKE_CORS_ORIGINS", "CORS_ORIGINS")
    )
    """Origins whose web pages may send requests and read the responses; ``*`` for any."""
    api_keys: CommaList = Field((), repr=False)
    """Keys that clients must show; none means that everybody is let in."""
    rate_limit_history: Rate = Field(
        "600/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_HISTORY", "RATE_LIMIT_HISTORY")
    )
    """Of each client on ``POST /gex_history_url`` and ``POST /backfill`` together."""
    rate_limit_gex: Rate = Field(
        "6000/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_GEX", "RATE_LIMIT_GEX")
    )
    """Of each client on ``POST /gex`` and ``POST /api/v1/snapshots`` together."""
    rate_limit_webhook: Rate = Field(
        "6000/minute", validation_alias=aliases("GEXLAKE_RATE_LIMIT_WEBHOOK", "RATE_LIMIT_WEBHOOK")
    )
    """Of each client on ``POST /uw``."""
    max_live_bytes: int = Field(512 * 1024, ge=1024, le=768 * 1024)
    """Largest body of ``POST /gex``, ``/uw`` and ``/api/v1/snapshots``; the message must fit the broker's
    ``max_payload``."""
    priority_critical: float = Field(0.9, ge=0, le=1)
    """The score from which a request is CRITICAL."""
    priority_high: float = Field(0.7, ge=0, le=1)
    """The score from which a request is HIGH."""
    priority_medium: float = Field(0.4, ge=0, le=1)
    """The score from which a request is MEDIUM; below it is LOW."""
    optionable_symbols: Annotated[CommaList, AfterValidator(_fit_symbols)] = ()
    """Symbols of priority requests in addition to the vendor's; ``*`` for any."""
    bars_history_days: int = Field(365, ge=1, le=8400)
    """How many days back a backfill of minute bars begins, unless the symbol or the request says so."""
    bars_max_jobs: int = Field(64, ge=1, le=1000)
    """How many jobs of all runs may be queued and not ended at a time."""
    bars_run_lease_s: float = Field(15.0, ge=0.5)
    """After this time without a sign of life of an intake, others take over its runs."""
    bars_extended_hours: bool = False
    """Whether minutes of pre-market and after hours without a bar are gaps, too."""
    bars_max_fills_a_day: int = Field(500, ge=0)
    """How many jobs that fill gaps are queued a day (UTC)."""
    timeout_keep_alive: int = Field(5, ge=0)
    """Seconds after which an idle connection is closed."""
    header_timeout_s: float = Field(10.0, gt=0)
    """Time for the headers of a request."""
    body_timeout_s: float = Field(30.0, gt=0)
    """Time for the body of a request."""
    send_timeout_s: float = Field(300.0, gt=0)
    """How long a client may leave a response unread."""
    max_connections: int = Field(256, ge=1)
    """Connections open at the same time; further ones are answered with 503."""
    stream_buffer_mb: int = Field(16, ge=1)
    """Newest live snapshots in memory, in MiB: a reader that falls behind them is cut off."""
    stream_send_timeout_s: float = Field(20.0, gt=0)
    """How long a reader of live snapshots may read nothing before it is cut off."""
    max_stream_readers: int = Field(200, ge=1)
    """Readers of live snapshots at the same time; they are connections too, so it is below their maximum."""
    ssl_certfile: FilePath | None = None
    """Serve HTTPS with this certificate."""
    ssl_keyfile: FilePath | None = None
    """Its private key, unless the certificate's file holds it."""

    @model_validator(mode="after")
    def _thresholds_descend(self) -> Self:
        if not self.priority_critical >= self.priority_high >= self.priority_medium:
            raise ValueError(
                "GEXLAKE_PRIORITY_CRITICAL, GEXLAKE_PRIORITY_HIGH and GEXLAKE_PRIORITY_MEDIUM must descend"
            )
        return self

    def is_optionable(self, symbol: str) -> bool:
        """Return whether a priority request may be about a symbol."""
        return symbol in OPTIONABLE or symbol in self.optionable_symbols or _ANY in self.optionable_symbols

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names that requests may be addressed to."""
        listening = {self.host.lower(), self.published_host.lower()} - ANY_ADDRESS
        return (*_LOOPBACK_NAMES, *listening, *self.allowed_hosts)
