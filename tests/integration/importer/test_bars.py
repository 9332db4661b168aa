"""Minute bars of CHRONOX on their way into the lake, on a real nats-server."""

from __future__ import annotations

from pathlib import Path

import pytest

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import bar_messages
from shared.bus.feeds.bar_messages import ChronoxMessage
from shared.bus.messages import PartitionImported
from shared.massive.bars import BarSource
from tests.support.importer.bars import a_bar, bars
from tests.support.importer.flat_files import a_flat_job, a_line, packed
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually
from tests.support.values import NOON


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data", live_export_s=0.5)


async def register(bus: Bus, symbol: str) -> None:
    row = RegisteredSymbol(symbol=symbol, strategy=Strategy.FLATPACK, created_at=NOON, updated_at=NOON)
    await (await bus.js.key_value(subjects.SYMBOLS)).put(symbol, row.model_dump_json().encode())


async def post(bus: Bus, *messages: ChronoxMessage) -> None:
    for message in messages:
        data = bar_messages.encode(message)
        await bus.publish(message.subject, data, subjects.CHRONOX, message.id)


async def test_bars_become_rows_and_files_and_are_acknowledged(bus: Bus, lake: LakeOnDisk) -> None:
    path = lake.lake.paths.bars_root / "2025" / "20251114.bars.parquet"
    await post(bus, bars(a_bar()), bars(a_bar(), a_bar(1), symbol="BRK.B", source=BarSource.REST))
    async with importing(bus, lake):
        await eventually(lambda: lake.rows("SELECT count(*) FROM ohlcv_1m") == [(3,)])
        await post(bus, bars(a_bar(close=270.1)), bars(a_bar(), symbol="BRK.B"))

        async def acknowledged() -> bool:
            found = await bus.js.consumer_info(subjects.CHRONOX, subjects.FEED_CONSUMER)
            return found.ack_floor is not None and found.ack_floor.stream_seq == 4

        assert await eventually(acknowledged)
        assert await eventually(path.is_file)
        assert lake.rows("SELECT symbol, close, source FROM ohlcv_1m ORDER BY ALL") == [
            ("AAPL", 270.1, "stream"),
            ("BRK.B", 270.75, "rest"),
            ("BRK.B", 270.75, "rest"),
        ]


async def test_a_bar_that_cannot_be_stored_is_a_dead_letter_and_holds_up_nothing(
    bus: Bus, lake: LakeOnDisk
) -> None:
    await post(bus, bars(a_bar(low=280.0)), bars(a_bar()))
    async with importing(bus, lake):
        await eventually(lambda: lake.rows("SELECT count(*) FROM ohlcv_1m") == [(1,)])
    letter = await bus.js.get_last_msg(subjects.DEAD, "gex.dead.chronox.stream.AAPL")
    assert letter.headers
    assert "open: 270.5 is not between the low 280.0" in letter.headers["Gex-Reason"]


async def test_a_flat_file_is_imported_for_the_symbols_registered_at_that_moment(
    bus: Bus, lake: LakeOnDisk
) -> None:
    command = lake.stage(packed(a_line(), a_line("MSFT"), a_line("OTHER")), a_flat_job())
    async with importing(bus, lake):
        for symbol in ("AAPL", "MSFT"):
            await register(bus, symbol)
        await bus.publish_command(command)

        async def look() -> PartitionImported | None:
            return await bus.last_event(PartitionImported, command.job.job_id)

        event = await eventually(look)
        assert event is not None
        assert event.counts == {"bars": 2, "symbols": 2, "rejected": 0}
        assert lake.rows("SELECT symbol FROM ohlcv_1m ORDER BY ALL") == [("AAPL",), ("MSFT",)]
