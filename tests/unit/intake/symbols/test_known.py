"""The symbols as intake knows them."""

from __future__ import annotations

import pytest

from services.intake.errors import NotReady
from services.intake.symbols.known import KnownSymbols
from shared.bus.follower import Followed


def test_nothing_is_listed_before_the_end_of_the_bucket() -> None:
    known = KnownSymbols()
    with pytest.raises(NotReady):
        known.require_read()
    known.take(Followed(0, "", None))
    known.require_read()
