"""Follow a stream of the broker, and keep a table of the lake the same, in small batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow
from shared.errors import Transient

_RETRY_S: Final = 1.0
log = structlog.get_logger(__name__)
Write = Callable[[duckdb.DuckDBPyConnection], None]


class MirroredTable(Protocol):
    """What is known of a stream, and how it is written to the lake."""

    @property
    def stream(self) -> str:
        """The stream's name."""

    @property
    def subject(self) -> str:
        """The filter of its subjects."""

    @property
    def collect_s(self) -> float:
        """How long changes are collected before the next write: imports wait during a write."""

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written."""

    def take(self, message: Followed) -> None:
        """Take in one message of the stream."""

    def caught_up(self) -> None:
        """Take in that all messages that existed at the start have been taken."""

    def take_changes(self) -> Write:
        """Return what writes the changes since the last call, within a transaction and in another thread."""

    def write_again(self) -> None:
        """Count everything as changed: the table may have lost rows."""


class Mirror:
    """Keeps one table the same as a stream.

    Nothing is stored between two runs: at every start the stream is read again, and what the lake has already
    changes nothing.

    Args:
        bus: the connection.
        lake: where the table is.
        writer: the thread that writes to the lake.
        table: the table.
    """

    def __init__(self, bus: Bus, lake: Lake, writer: WriterThread, table: MirroredTable) -> None:
        self._bus = bus
        self._lake = lake
        self._writer = writer
        self._table = table
        self._has_changes = asyncio.Event()
        self._has_caught_up = False
        self._unwritten: list[Write] = []
        """Writes to repeat before the next, in their order."""

    def write_again(self) -> None:
        """Write all of it once more: the lake may have lost rows."""
        self._table.write_again()
        self._wake()

    async def follow(self) -> None:
        """Take in the stream, forever."""
        async for message in follow(self._bus, self._table.stream, self._table.subject):
            if message.data is None:
                self._has_caught_up = True
                self._table.caught_up()
            else:
                self._table.take(message)
            self._wake()
            await asyncio.sleep(0)  # the backlog may be long

    def _wake(self) -> None:
        if self._has_caught_up and self._table.has_changes:
            self._has_changes.set()

    async def write(self) -> None:
        """Write what has changed, forever; a write that fails is repeated later."""
        while True:
            await self._has_changes.wait()
            self._has_changes.clear()
            if self._table.has_changes:
                self._unwritten.append(self._table.take_changes())
            try:
                await self._writer.run(partial(_write, self._lake, tuple(self._unwritten)))
            except (Transient, duckdb.Error) as error:
                log.warning("mirror_behind", stream=self._table.stream, error=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
                self._has_changes.set()
            else:
                self._unwritten.clear()
                await asyncio.sleep(self._table.collect_s)


def _write(lake: Lake, writes: Sequence[Write]) -> None:
    with lake.writing() as connection, transaction(connection):
        for write in writes:
            write(connection)
