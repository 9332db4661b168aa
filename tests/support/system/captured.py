"""All text that a running system publishes, logs and stores, to be searched for secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from shared.bus.connection import Bus
from simulator.stack import NATS, Stack
from tests.support.system.oracle import query_lake
from tests.support.system.running import connection_to

_HOLD_CONTENT: Final = (".json", ".gz", ".jsonl")
"""Suffixes of staged files: they hold the bytes that the vendor sent."""
_AROUND: Final = 60


@dataclass
class CapturedText:
    """Texts by their places."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str) -> None:
        """Append text to that of a place."""
        self.texts[where] = self.texts.get(where, "") + text + "\n"

    async def add_response(self, response: httpx.Response) -> None:
        """Add an HTTP response with its headers; an event hook of httpx."""
        await response.aread()
        self.add(f"response of {response.request.url.path}", f"{response.headers}\n{response.text}")

    async def add_message(self, message: Msg) -> None:
        """Add a message of core NATS."""
        self.add(f"message {message.subject}", f"{message.headers} {_text_of(message.data)}")

    def finds(self, word: str) -> list[str]:
        """Return the places that hold a word, each with the text around it."""
        found = ((where, text, text.find(word)) for where, text in sorted(self.texts.items()))
        return [
            f"{where}: …{text[max(0, at - _AROUND) : at + _AROUND]}…" for where, text, at in found if at >= 0
        ]


@asynccontextmanager
async def capturing(stack: Stack) -> AsyncIterator[CapturedText]:
    """Capture every message that is published in the block, and all stored text at its end."""
    captured = CapturedText()
    async with connection_to(stack) as bus:
        subscription = await bus.client.subscribe("gex.>", cb=captured.add_message)
        yield captured
        await subscription.unsubscribe()
        await _add_streams(captured, bus)
        await _add_lake(captured, bus)
    _add_files(captured, stack)


async def _add_streams(captured: CapturedText, bus: Bus) -> None:
    for info in await bus.js.streams_info():
        name = str(info.config.name)
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await bus.js.get_msg(name, seq=sequence)
            except NotFoundError:
                continue
            captured.add(f"stream {name}", f"{message.subject} {message.headers} {_text_of(message.data)}")


async def _add_lake(captured: CapturedText, bus: Bus) -> None:
    tables = await query_lake(
        bus, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
    )
    for (name,) in tables:
        captured.add(f"table {name}", str(await query_lake(bus, f"SELECT * FROM {name} LIMIT 5000")))


def _add_files(captured: CapturedText, stack: Stack) -> None:
    for log in (NATS, *stack.processes):
        captured.add(f"log of {log}", stack.log_of(log).read_text(errors="replace"))
    for path in stack.nats.folder.rglob("*"):
        if path.is_file():
            captured.add(f"broker's {path.name}", path.read_bytes().decode("latin-1"))
    for path in stack.data_dir.rglob("*"):
        captured.add("names of files", str(path.relative_to(stack.data_dir)))
        if path.is_file() and not path.name.endswith(_HOLD_CONTENT):
            captured.add(f"content of {path.name}", path.read_bytes().decode("latin-1"))


def _text_of(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
