"""The registered symbols, from the messages of their bucket."""

from __future__ import annotations

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from shared.bus.follower import Followed
from shared.symbol_registry import SymbolRegistry
from tests.support.values import NOON


def a_symbol(name: str = "AAPL", strategy: Strategy = Strategy.STREAM) -> RegisteredSymbol:
    return RegisteredSymbol(symbol=name, strategy=strategy, created_at=NOON, updated_at=NOON)


def message(sequence: int, symbol: RegisteredSymbol | None, key: str = "AAPL") -> Followed:
    data = b"" if symbol is None else symbol.model_dump_json().encode()
    return Followed(sequence, f"$KV.SYMBOLS.{key}", data)


def names(registry: SymbolRegistry) -> list[str]:
    return [found.symbol.symbol for found in registry.all]


def test_the_newest_revision_counts_until_the_symbol_is_deleted() -> None:
    registry = SymbolRegistry()
    registry.take(message(1, a_symbol("MSFT"), "MSFT"))
    registry.take(message(2, a_symbol("BRK.B"), "BRK-2EB"))
    registry.take(message(3, a_symbol("BRK.B", Strategy.SNAPSHOT), "BRK-2EB"))
    assert names(registry) == ["BRK.B", "MSFT"]
    assert (found := registry.get("BRK.B")) is not None
    assert (found.symbol.strategy, found.revision) == (Strategy.SNAPSHOT, 3)
    registry.take(message(4, None, "BRK-2EB"))
    assert names(registry) == ["MSFT"]


def test_a_change_that_is_put_is_not_undone_by_messages_before_it() -> None:
    registry = SymbolRegistry()
    registry.put("AAPL", a_symbol(strategy=Strategy.SNAPSHOT), 3)
    registry.take(message(2, a_symbol()))
    assert registry.all[0].revision == 3
    registry.put("AAPL", None, 5)
    registry.take(message(4, a_symbol()))
    assert names(registry) == []


def test_a_bucket_that_starts_over_replaces_all_symbols() -> None:
    registry = SymbolRegistry()
    registry.take(message(7, a_symbol()))
    registry.take(message(1, a_symbol("MSFT"), "MSFT"))
    assert names(registry) == ["MSFT"]


def test_a_message_that_is_no_symbol_hides_no_other() -> None:
    registry = SymbolRegistry()
    registry.take(message(1, a_symbol()))
    registry.take(Followed(2, "$KV.SYMBOLS.note", b'{"symbol": 1}'))
    assert names(registry) == ["AAPL"]


def test_the_keys_of_leases_are_no_symbols() -> None:
    changes: list[bool] = []
    registry = SymbolRegistry()
    registry.on_change = lambda: changes.append(registry.is_read)
    registry.take(message(1, a_symbol()))
    registry.take(Followed(2, "$KV.SYMBOLS.owner.a1", b"{}"))
    registry.take(Followed(0, "", None))
    assert names(registry) == ["AAPL"]
    assert changes == [False, True]
