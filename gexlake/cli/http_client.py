"""HTTP clients of intake: its address, the key, and the certificates that are trusted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import httpx

import gexlake
from gexlake.cli.errors import UnexpectedAnswer, UnusableCertificates
from gexlake.cli.settings import CliSettings

TIMEOUT_S: Final = 20.0


def async_client(settings: CliSettings) -> httpx.AsyncClient:
    """Return a client for many requests at a time.

    Raises:
        CommandFailed: the address or the certificates are not usable.
    """
    with usable(settings.intake_url):
        return httpx.AsyncClient(**client_options(settings))


def client_options(settings: CliSettings) -> dict[str, Any]:
    """Return what a client of intake needs.

    Raises:
        httpx.InvalidURL: the address is none.
        UnusableCertificates: the file has no certificates.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return {
        "base_url": settings.intake_url,
        "headers": {
            "User-Agent": f"gexlake/{gexlake.__version__}",
            **({"Authorization": f"Bearer {key}"} if key else {}),
        },
        "timeout": TIMEOUT_S,
        # A proxy of the environment is not meant for this machine's own services.
        "trust_env": not _is_loopback(httpx.URL(settings.intake_url).host),
        "verify": trusted_by(settings.ca_file),
    }


@contextmanager
def usable(url: str) -> Iterator[None]:
    """Translate what httpx raises for an address.

    Raises:
        UnexpectedAnswer: it is none.
    """
    try:
        yield
    except (httpx.InvalidURL, ValueError) as error:
        raise UnexpectedAnswer(url, str(error)) from error


def trusted_by(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the usual authorities (SSL_CERT_FILE, SSL_CERT_DIR) and those of a file.

    Raises:
        UnusableCertificates: the file has no certificates.
    """
    context = httpx.create_ssl_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UnusableCertificates(ca_file, error) from error
    return context


def _is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
