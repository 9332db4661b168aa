"""The table of symbols, as the bucket has them."""

from __future__ import annotations

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.importer.lake.statements import transaction
from services.importer.mirrors.symbols import SymbolTable
from shared.bus.follower import Followed
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

CURRENT = "SELECT symbol, strategy, revision FROM symbol_registry ORDER BY symbol"


def message(sequence: int, key: str, symbol: RegisteredSymbol | None) -> Followed:
    data = symbol.model_dump_json().encode() if symbol else b""
    return Followed(sequence, f"$KV.SYMBOLS.{key}", data, NOON)


def a_symbol(symbol: str, strategy: Strategy = Strategy.STREAM) -> RegisteredSymbol:
    return RegisteredSymbol(symbol=symbol, strategy=strategy, created_at=NOON, updated_at=NOON)


def write(lake: LakeOnDisk, table: SymbolTable) -> None:
    assert table.has_changes
    with lake.lake.writing() as connection, transaction(connection):
        table.take_changes()(connection)
    assert not table.has_changes


def test_a_symbol_is_a_row_with_all_its_fields(lake: LakeOnDisk) -> None:
    table = SymbolTable()
    full = RegisteredSymbol.model_validate(
        {
            "symbol": "BRK.B",
            "strategy": "flatpack+api",
            "status": "error",
            "enabled": True,
            "last_backfill": NOON,
            "last_snapshot": NOON,
            "last_stream": NOON,
            "error_message": "HTTP 429",
            "description": "Berkshire",
            "metadata": {"a": [1, "é"]},
            "created_at": NOON,
            "updated_at": NOON,
            "changed_by": "key:ba7816bf",
        }
    )
    table.take(message(2, "owner.2f6a", a_symbol("OWNER")))
    table.take(message(3, "BRK-2EB", full))
    write(lake, table)
    assert lake.rows("FROM symbol_registry") == [
        (
            *("BRK.B", "flatpack_api", "error", True, NOON, NOON, NOON, "HTTP 429", "Berkshire"),
            *('{"a":[1,"é"]}', NOON, NOON, "key:ba7816bf", 3),
        )
    ]


def test_the_table_has_what_the_bucket_has_also_after_it_is_created_again(lake: LakeOnDisk) -> None:
    table = SymbolTable()
    table.take(message(1, "AAPL", a_symbol("AAPL")))
    table.take(message(2, "MSFT", a_symbol("MSFT")))
    table.take(message(3, "AAPL", a_symbol("AAPL", Strategy.SNAPSHOT)))
    table.take(message(4, "note", None))
    table.take(Followed(5, "$KV.SYMBOLS.other", b"{}", NOON))
    write(lake, table)
    assert lake.rows(CURRENT) == [("AAPL", "snapshot", 3), ("MSFT", "stream", 2)]
    table.take(message(6, "MSFT", None))
    write(lake, table)
    assert lake.rows(CURRENT) == [("AAPL", "snapshot", 3)]
    table.take(message(1, "TSLA", a_symbol("TSLA")))
    write(lake, table)
    assert lake.rows(CURRENT) == [("TSLA", "stream", 1)]
