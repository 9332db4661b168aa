"""Tell public addresses from internal ones: of this machine, its network or its cloud.

The networks are those of IANA's special-purpose registries. They are listed here because ``ipaddress``
classifies them differently between versions of Python; what a newer Python refuses is refused as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_NAT64: Final = ip_network("64:ff9b::/96")
"""Maps to the IPv4 address in its last 32 bits, on IPv6-only networks (RFC 6052)."""
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_INSIDE: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("169.254.169.254/32", "a metadata address"),
        ("168.63.129.16/32", "a metadata address"),  # Azure's: public by its number, answered by the host
        ("fd00:ec2::254/128", "a metadata address"),
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address shared by carriers (CGNAT)"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address of documentation"),
        ("192.88.99.0/24", "a 6to4 address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address of benchmarks"),
        ("198.51.100.0/24", "an address of documentation"),
        ("203.0.113.0/24", "an address of documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("::/96", "an IPv4-compatible address"),
        ("64:ff9b:1::/48", "a private NAT64 address"),
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "an address of documentation"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "an address of documentation"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)


def literal(host: str) -> Address | None:
    """Parse the host of a URL, without brackets, as an address; None for a name.

    Forms that only some parsers accept (``127.1``, ``0x7f000001``, ``2130706433``, a zone) are none here.
    """
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host name or literal address is this machine's."""
    if host == "localhost":
        return True
    address = literal(host)
    return address is not None and _is_loopback(address)


def why_inside(address: Address) -> str | None:
    """Return the kind of an internal address, None for a public one."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        address = IPv4Address(address.packed[-4:])
    for network, kind in _INSIDE:
        if address in network:
            return kind
    is_public = address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)
    return None if is_public else "a reserved address"


def check_addresses(host: str, addresses: Iterable[Address]) -> None:
    """Check all addresses of a source's host.

    A loopback host must have loopback addresses only, any other host public addresses only.

    Raises:
        ValueError: an address is not allowed; the message names its kind, but not the address.
    """
    for address in addresses:
        if is_loopback(host):
            if not _is_loopback(address):
                raise ValueError(f"{host} resolves to an address that is not this machine's")
        elif kind := why_inside(address):
            raise ValueError(f"{host} resolves to {kind}, and sources are reached outside only")


def _is_loopback(address: Address) -> bool:
    return any(address in network for network in _LOOPBACK)
