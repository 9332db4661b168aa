"""The leases of those that drive runs, by the clock of the one who looks."""

from __future__ import annotations

from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.owners import Owners
from shared.bus.follower import Followed


def test_a_lease_counts_from_the_last_renewal_that_was_seen() -> None:
    now = [100.0]
    owners = Owners(lambda: now[0])
    known = KnownSymbols(owners)
    assert not owners.is_alive("one", 15)
    known.take(Followed(7, "$KV.SYMBOLS.owner.one", b"one"))
    assert (known.all, owners.revision("one")) == ([], 7)
    now[0] += 14
    assert owners.is_alive("one", 15)
    known.take(Followed(8, "$KV.SYMBOLS.owner.one", b"one"))
    now[0] += 14
    assert owners.is_alive("one", 15)
    now[0] += 1
    assert not owners.is_alive("one", 15)
    assert list(owners.expired(15)) == [("one", 8)]
    known.take(Followed(9, "$KV.SYMBOLS.owner.one", b""))
    assert list(owners.expired(15)) == []
