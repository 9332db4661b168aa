"""Refuse to serve a network without API keys, unless a setting says so."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address

from services.intake.settings import IntakeSettings
from shared.errors import CannotStart


def check_exposure(settings: IntakeSettings) -> None:
    """Check that only this machine can reach intake, or that clients need a key.

    In a container, what decides is the address on which the container's port is published.

    Raises:
        CannotStart: clients of a network could use intake without a key.
    """
    host = settings.published_host or settings.host
    if settings.api_keys or settings.allow_network_without_keys or is_loopback(host):
        return
    raise CannotStart(
        f"intake would serve a network without API keys, on {host} (GEXLAKE_HOST): set GEXLAKE_API_KEYS, "
        "listen on 127.0.0.1, or set GEXLAKE_ALLOW_NETWORK_WITHOUT_KEYS=true to let everyone in"
    )


def is_loopback(host: str) -> bool:
    """Report whether a host to listen on is this machine's alone; a name is, if all its addresses are."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False  # listening on it fails too
    return all(_is_loopback(str(address[0])) for *_, address in found)


def _is_loopback(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
