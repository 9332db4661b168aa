"""A client of the loopback without credentials: no publish, no read, no SQL, no place in a queue group.

Each attack is sent by the operator first, for whom it works: what is refused is the client, not the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest

from gexlake.api import services
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import Envelope
from simulator.stack import Stack
from tests.support.poll import eventually
from tests.support.system.running import connection_to
from tests.support.values import NOON, a_fetch, a_job

KEY: Final = "a-key-of-the-client"
OPEN_PATHS: Final = {"/health", "/ready"}
ANONYMOUS: Final[dict[str, dict[str, str]]] = {
    "no user": {},
    "an empty user": {"user": "", "pass": ""},
    "a service without its password": {"user": "intake", "pass": ""},
    "the operator with its name as password": {"user": "operator", "pass": "operator"},
    "a token": {"auth_token": "operator"},
}
INBOX: Final = "_INBOX_operator.intruder"
QUEUE_GROUP: Final = "q"
"""The group in which ``nats.micro`` answers requests."""


def publication(subject: str, data: bytes, reply: str = "") -> bytes:
    return f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + b"\r\n"


def request(subject: str, body: dict[str, Any]) -> bytes:
    return f"SUB {INBOX} 1\r\n".encode() + publication(subject, json.dumps(body).encode(), INBOX)


COMMAND: Final = a_fetch(a_job())
READ_JOBS: Final = request("$JS.API.STREAM.MSG.GET.JOBS", {"seq": 1})
SQL: Final = request(services.SQL.subject, {"query": "SELECT 6 * 7 AS answer"})
FOLLOW: Final = b"SUB gex.> 1\r\n"
JOIN: Final = f"SUB {services.REPLAY.subject} {QUEUE_GROUP} 1\r\n".encode()


class Conversation:
    """A connection in NATS's own protocol, in which nothing waits for the server's consent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = b""

    @classmethod
    async def begin(cls, stack: Stack, identity: dict[str, str], sent: bytes) -> Conversation:
        """Connect, and send the identity and ``sent`` in one piece."""
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.nats.port)
        await reader.readline()
        connect = json.dumps({"verbose": False, "pedantic": False, **identity}).encode()
        writer.write(b"CONNECT " + connect + b"\r\n" + sent + b"PING\r\n")
        return cls(reader, writer)

    async def until(self, word: bytes) -> bytes:
        """Read until a word was received or the server has closed the connection."""
        with contextlib.suppress(ConnectionResetError):  # closed before it had read all that was sent
            async with asyncio.timeout(10):
                while word not in self.received and (data := await self._reader.read(65536)):
                    self.received += data
        return self.received

    async def end(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


async def said(stack: Stack, identity: dict[str, str], sent: bytes, word: bytes) -> bytes:
    """Return what the server sends, up to a word or the end of the connection."""
    conversation = await Conversation.begin(stack, identity, sent)
    received = await conversation.until(word)
    await conversation.end()
    return received


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("closed"), env={"GEXLAKE_API_KEYS": KEY}) as stack:
        yield stack


@pytest.fixture
async def bus(stack: Stack) -> AsyncIterator[Bus]:
    async with connection_to(stack) as bus:
        yield bus


@pytest.fixture
def operator(stack: Stack) -> dict[str, str]:
    file = stack.data_dir / "secrets" / "operator" / "nats-password"
    return {"user": "operator", "pass": file.read_text().strip()}


async def last_command(bus: Bus) -> int:
    return (await bus.js.stream_info(subjects.JOBS)).state.last_seq


async def test_a_command_is_not_published(stack: Stack, bus: Bus, operator: dict[str, str]) -> None:
    attack = publication(COMMAND.subject, Envelope.seal(COMMAND, NOON).encode())
    before = await last_command(bus)
    assert b"PONG" in await said(stack, operator, attack, b"PONG")
    await eventually(lambda: is_at(bus, before + 1), what="the operator's command")
    for identity in ANONYMOUS.values():
        await is_refused(stack, identity, attack)
    assert await last_command(bus) == before + 1


async def is_at(bus: Bus, sequence: int) -> bool:
    return await last_command(bus) == sequence


async def is_refused(stack: Stack, identity: dict[str, str], attack: bytes) -> None:
    """Check that the server closes the connection and says no more than why."""
    received = await said(stack, identity, attack, b"PONG")
    assert received in {b"", b"-ERR 'Authorization Violation'\r\n"}


@pytest.mark.parametrize(
    ("attack", "word"), [(READ_JOBS, b"stream_msg_get_response"), (SQL, b"[42]")], ids=["read", "SQL"]
)
async def test_nothing_is_read(
    stack: Stack, bus: Bus, operator: dict[str, str], attack: bytes, word: bytes
) -> None:
    await bus.publish_command(a_fetch(a_job(generation=9)))
    assert word in await said(stack, operator, attack, word)
    for identity in ANONYMOUS.values():
        await is_refused(stack, identity, attack)


@pytest.mark.parametrize("attack", [JOIN, FOLLOW], ids=["queue group", "every subject"])
async def test_no_message_of_others_arrives(
    stack: Stack, bus: Bus, operator: dict[str, str], attack: bytes
) -> None:
    async def arrives(identity: dict[str, str]) -> bool:
        """Return whether any of 40 requests to intake arrives at a client that listens beside it."""
        conversation = await Conversation.begin(stack, identity, attack)
        await conversation.until(b"PONG")
        for _ in range(40):
            await bus.client.publish(services.REPLAY.subject, b'{"stream_seq": 0}')
        await bus.client.flush()
        received = await conversation.until(b"MSG ") if b"PONG" in conversation.received else b""
        await conversation.end()
        return b"MSG " in received

    assert await arrives(operator)
    assert [name for name, identity in ANONYMOUS.items() if await arrives(identity)] == []


async def test_every_route_but_those_of_health_needs_a_key(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=10) as client:
        described = (await client.get("/openapi.json")).json()["paths"]
        let_in = set()
        for path, methods in described.items():
            for method in methods:
                content = b"{}" if method == "post" else None
                url = re.sub(r"\{\w*id\}", str(a_job().job_id), path)
                answer = await client.request(method, url, content=content)
                let_in |= {path} if answer.status_code != httpx.codes.UNAUTHORIZED else set()
        assert let_in == OPEN_PATHS & described.keys()
        jobs = await client.get("/jobs", headers={"X-API-Key": KEY})
    assert jobs.status_code == httpx.codes.OK
