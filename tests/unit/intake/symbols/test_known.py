"""The symbols as intake knows them, from the messages of their bucket."""

from __future__ import annotations

import pytest

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.intake.errors import NotReady
from services.intake.symbols.known import KnownSymbols
from shared.bus.follower import Followed
from tests.support.values import NOON


def a_symbol(name: str = "AAPL", strategy: Strategy = Strategy.STREAM) -> RegisteredSymbol:
    return RegisteredSymbol(symbol=name, strategy=strategy, created_at=NOON, updated_at=NOON)


def message(sequence: int, symbol: RegisteredSymbol | None, key: str = "AAPL") -> Followed:
    data = b"" if symbol is None else symbol.model_dump_json().encode()
    return Followed(sequence, f"$KV.SYMBOLS.{key}", data)


def names(known: KnownSymbols) -> list[str]:
    return [found.symbol.symbol for found in known.all]


def test_the_newest_revision_counts_until_the_symbol_is_deleted() -> None:
    known = KnownSymbols()
    known.take(message(1, a_symbol("MSFT"), "MSFT"))
    known.take(message(2, a_symbol("BRK.B"), "BRK-2EB"))
    known.take(message(3, a_symbol("BRK.B", Strategy.SNAPSHOT), "BRK-2EB"))
    assert names(known) == ["BRK.B", "MSFT"]
    assert (found := known.get("BRK.B")) is not None
    assert (found.symbol.strategy, found.revision) == (Strategy.SNAPSHOT, 3)
    known.take(message(4, None, "BRK-2EB"))
    assert names(known) == ["MSFT"]


def test_a_change_of_this_intake_is_not_undone_by_messages_before_it() -> None:
    known = KnownSymbols()
    known.put("AAPL", a_symbol(strategy=Strategy.SNAPSHOT), 3)
    known.take(message(2, a_symbol()))
    assert known.all[0].revision == 3
    known.put("AAPL", None, 5)
    known.take(message(4, a_symbol()))
    assert names(known) == []


def test_a_bucket_that_starts_over_replaces_all_symbols() -> None:
    known = KnownSymbols()
    known.take(message(7, a_symbol()))
    known.take(message(1, a_symbol("MSFT"), "MSFT"))
    assert names(known) == ["MSFT"]


def test_a_message_that_is_no_symbol_hides_no_other() -> None:
    known = KnownSymbols()
    known.take(message(1, a_symbol()))
    known.take(Followed(2, "$KV.SYMBOLS.note", b'{"symbol": 1}'))
    assert names(known) == ["AAPL"]


def test_nothing_is_listed_before_the_end_of_the_bucket() -> None:
    known = KnownSymbols()
    with pytest.raises(NotReady):
        known.require_read()
    known.take(Followed(0, "", None))
    known.require_read()
