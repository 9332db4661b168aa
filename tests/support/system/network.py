"""A network that drops every packet to and from a port of the loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

_DIRECTIONS: Final = ("--dport", "--sport")


@contextmanager
def blackhole(port: int) -> Iterator[None]:
    """Drop the packets of a port; where that is not allowed (Linux, root), the test is skipped."""
    added: list[str] = []
    try:
        for direction in _DIRECTIONS:
            _iptables("-I", direction, port)
            added.append(direction)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no packets can be dropped here (Linux, root, iptables): {error}")
    try:
        yield
    finally:
        for direction in added:
            _iptables("-D", direction, port)


def _iptables(action: str, direction: str, port: int) -> None:
    rule = ["INPUT", "-i", "lo", "-p", "tcp", direction, str(port), "-j", "DROP"]
    subprocess.run(["iptables", "-w", action, *rule], check=True, capture_output=True)  # noqa: S607
