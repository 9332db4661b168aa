"""The symbols that are registered at this moment, as the bucket has them."""

from __future__ import annotations

from contextlib import aclosing

from services.importer.mirrors.symbols import SymbolTable
from shared.bus.connection import Bus
from shared.bus.follower import follow


async def registered_symbols(bus: Bus) -> frozenset[str]:
    """Return all registered symbols, those that are disabled among them.

    The table ``symbol_registry`` may be behind: a symbol that was registered before its flat file was
    requested must not be left out.
    """
    table = SymbolTable()
    async with aclosing(follow(bus, table.stream, table.subject)) as messages:
        async for message in messages:
            if message.data is None:
                break
            table.take(message)
    return table.symbols
