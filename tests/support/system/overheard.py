"""Everything that a running system says, writes and keeps, as text that can be searched for secrets."""

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
from tests.support.system.oracle import ask_lake
from tests.support.system.running import connection_to

COMMANDS: Final = "commands"
"""Where the bodies of commands are noted: these alone hold signed URLs, or nobody could fetch them."""
_HOLD_COMMANDS: Final = ("gex.job.", "gex.dead.")
_HOLD_CONTENT: Final = (".json", ".gz", ".jsonl")
"""Endings of staged files: they are what the vendor sent, as it came."""
_AROUND: Final = 60


@dataclass
class Overheard:
    """Texts by where they were found."""

    texts: dict[str, str] = field(default_factory=dict)

    def note(self, where: str, text: str) -> None:
        """Add what was heard somewhere to what was heard there before."""
        self.texts[where] = self.texts.get(where, "") + text + "\n"

    async def note_answer(self, response: httpx.Response) -> None:
        """Add an answer over HTTP, headers and all; an event hook of httpx."""
        await response.aread()
        self.note(f"answer of {response.request.url.path}", f"{response.headers}\n{response.text}")

    async def note_message(self, message: Msg) -> None:
        """Add a message of core NATS, unless it is a command."""
        if not message.subject.startswith(_HOLD_COMMANDS):
            self.note(f"message {message.subject}", f"{message.headers} {_text_of(message.data)}")

    def finds(self, word: str) -> list[str]:
        """Return where a word was heard, each with what is around it."""
        found = ((where, text, text.find(word)) for where, text in sorted(self.texts.items()))
        return [
            f"{where}: …{text[max(0, at - _AROUND) : at + _AROUND]}…" for where, text, at in found if at >= 0
        ]


@asynccontextmanager
async def overhearing(stack: Stack) -> AsyncIterator[Overheard]:
    """Hear every message that is published meanwhile; in the end, look at all that is kept."""
    overheard = Overheard()
    async with connection_to(stack) as bus:
        subscription = await bus.client.subscribe("gex.>", cb=overheard.note_message)
        yield overheard
        await subscription.unsubscribe()
        await _note_streams(overheard, bus)
        await _note_lake(overheard, bus)
    _note_files(overheard, stack)


async def _note_streams(overheard: Overheard, bus: Bus) -> None:
    for info in await bus.js.streams_info():
        name = str(info.config.name)
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await bus.js.get_msg(name, seq=sequence)
            except NotFoundError:
                continue
            is_command = str(message.subject).startswith(_HOLD_COMMANDS)
            overheard.note(f"stream {name}", f"{message.subject} {message.headers}")
            overheard.note(COMMANDS if is_command else f"stream {name}", _text_of(message.data))


async def _note_lake(overheard: Overheard, bus: Bus) -> None:
    tables = await ask_lake(
        bus, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
    )
    for (name,) in tables:
        overheard.note(f"table {name}", str(await ask_lake(bus, f"SELECT * FROM {name} LIMIT 5000")))


def _note_files(overheard: Overheard, stack: Stack) -> None:
    for log in (NATS, *stack.processes):
        overheard.note(f"log of {log}", stack.log_of(log).read_text(errors="replace"))
    for path in stack.data_dir.rglob("*"):
        overheard.note("names of files", str(path.relative_to(stack.data_dir)))
        if path.is_file() and not path.name.endswith(_HOLD_CONTENT):
            overheard.note(f"content of {path.name}", path.read_bytes().decode("latin-1"))


def _text_of(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
