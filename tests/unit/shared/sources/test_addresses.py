"""Which addresses lead inside."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources.addresses import check_addresses, is_loopback, literal, why_inside


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "CGNAT"),
        ("100.100.100.200", "CGNAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "metadata"),
        ("169.254.169.254", "metadata"),
        ("169.254.1.1", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:169.254.169.254", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::169.254.169.254", "metadata"),
        ("64:ff9b:1::8.8.8.8", "NAT64"),
        ("100::1", "reserved"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "reserved"),
        ("2001:10::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("2002:a9fe:a9fe::1", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_an_internal_address_is_refused_by_its_kind(address: str, kind: str) -> None:
    assert kind in (why_inside(ip_address(address)) or "")


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "168.63.129.15",
        "172.15.0.1",
        "172.32.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::6810:84e5",
        "2a00:1450:4001::1",
        "64:ff9b::8.8.8.8",
    ],
)
def test_an_address_of_the_open_internet_is_outside(address: str) -> None:
    assert why_inside(ip_address(address)) is None


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_nothing_is_outside_that_python_knows_to_be_inside(address: IPv4Address | IPv6Address) -> None:
    if why_inside(address) is None and not str(address).startswith("64:ff9b::"):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4))
def test_an_address_behind_nat64_is_judged_as_the_one_that_it_leads_to(address: IPv4Address) -> None:
    behind = IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))
    assert why_inside(behind) == why_inside(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "0:0::1"])
def test_a_loopback_host_means_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1.evil.test", "127.1", "2130706433", "::ffff:127.0.0.1", "::1%lo", "0.0.0.0", "", "a"]
)
def test_any_other_host_does_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "017700000001", "2130706433", "127.0.0.01", "fe80::1%1"])
def test_an_address_in_another_spelling_is_no_literal(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("hist.gex.bot", ["8.8.8.8", "2a00:1450:4001::1"]),
        ("8.8.8.8", ["8.8.8.8"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("127.0.0.1", ["127.0.0.1"]),
    ],
)
def test_a_host_may_be_reached_where_it_belongs(host: str, addresses: list[str]) -> None:
    check_addresses(host, map(ip_address, addresses))


@pytest.mark.parametrize(
    ("host", "addresses", "rule"),
    [
        ("hist.gex.bot", ["127.0.0.1"], "hist.gex.bot resolves to a loopback address"),
        ("hist.gex.bot", ["8.8.8.8", "10.0.0.1"], "hist.gex.bot resolves to a private address"),
        ("hist.gex.bot", ["2a00:1450:4001::1", "::1"], "a loopback address"),
        ("localhost", ["127.0.0.1", "8.8.8.8"], "not this machine's"),
        ("localhost", ["10.0.0.1"], "not this machine's"),
    ],
)
def test_one_address_elsewhere_refuses_the_host_without_telling_it(
    host: str, addresses: list[str], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule) as refusal:
        check_addresses(host, map(ip_address, addresses))
    assert "10.0.0.1" not in str(refusal.value)
