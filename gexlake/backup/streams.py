"""Snapshots of streams by the broker's own snapshot API: messages, sequences and consumers.

https://docs.nats.io/reference/reference-protocols/nats_api_reference names the subjects.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gexlake.backup.errors import BackupError
from gexlake.backup.manifest import BackedUpStream
from gexlake.backup.settings import BackupSettings

API: Final = "$JS.API.STREAM"
_CHUNK_BYTES: Final = 128 * 1024
_TIMEOUT_S: Final = 30.0
_CONNECT_TIMEOUT_S: Final = 3
_PING_S: Final = 1.0
_SERVICES: Final = ("intake", "fetcher", "importer", "janitor")


@asynccontextmanager
async def operator(settings: BackupSettings) -> AsyncIterator[Client]:
    """Connect to the broker as its operator.

    Raises:
        BackupError: it does not answer, or refuses the user.
    """
    problems: list[Exception] = []

    async def note(error: Exception) -> None:
        problems.append(error)

    password = settings.secrets / "operator" / "nats-password"
    options: dict[str, Any] = {"error_cb": note}
    if settings.nats_ca_file:
        options["tls"] = _trusting(settings.nats_ca_file)
    if password.exists():
        options |= {"user": "operator", "password": password.read_text().strip()}
    try:
        client = await nats.connect(
            settings.broker_url,
            name="gexlake-backup",
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_reconnect_attempts=1,
            **options,
        )
    except (NatsError, OSError, ValueError, TimeoutError) as error:
        why = problems[-1] if problems else error
        raise BackupError(
            f"NATS does not answer at {settings.broker_url} ({why}): it must run, also for a restore; the "
            f"operator's password is read from {password}"
        ) from error
    try:
        yield client
    finally:
        await client.close()


async def names(client: Client) -> list[str]:
    """Return the names of all streams, those of key-value buckets (``KV_…``) among them."""
    found: list[str] = []
    while True:
        page = await _ask(client, f"{API}.NAMES", {"offset": len(found)})
        found += page.get("streams") or []
        if len(found) >= page["total"] or not page.get("streams"):
            return sorted(found)


async def messages(client: Client) -> int:
    """Return how many messages all streams hold together."""
    infos = [await _ask(client, f"{API}.INFO.{name}", {}) for name in await names(client)]
    return sum(int(info["state"]["messages"]) for info in infos)


async def save(client: Client, name: str, path: Path) -> BackedUpStream:
    """Write the snapshot of a stream to a file, and return what it is restored by.

    Raises:
        BackupError: the broker refuses, or does not answer in time.
    """
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=arrived.put)
    try:
        request = {"deliver_subject": inbox, "no_consumers": False, "chunk_size": _CHUNK_BYTES}
        answer = await _ask(client, f"{API}.SNAPSHOT.{name}", request)
        with path.open("wb") as file:
            while True:
                async with asyncio.timeout(_TIMEOUT_S):
                    message = await arrived.get()
                if not message.data:
                    _check_end(name, message)
                    break
                await asyncio.to_thread(file.write, message.data)
                if message.reply:
                    await message.respond(b"")
    except TimeoutError as error:
        raise BackupError(f"the snapshot of the stream {name} did not end within {_TIMEOUT_S:g} s") from error
    finally:
        await subscription.unsubscribe()
    return BackedUpStream(
        name=name,
        path=f"streams/{path.name}",
        messages=answer["state"]["messages"],
        config=answer["config"],
        state=answer["state"],
    )


async def restore(client: Client, stream: BackedUpStream, path: Path) -> None:
    """Replace a stream by its snapshot.

    Raises:
        BackupError: the broker refuses, or holds another number of messages afterwards.
    """
    if stream.name in await names(client):
        await _ask(client, f"{API}.DELETE.{stream.name}", {})
    request = {"config": stream.config, "state": stream.state}
    answer = await _ask(client, f"{API}.RESTORE.{stream.name}", request)
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            await _send(client, answer["deliver_subject"], block)
    restored = await _send(client, answer["deliver_subject"], b"")
    # Messages that are older than the stream keeps are dropped as it is restored.
    found = restored.get("state", {}).get("last_seq")
    if found != stream.state["last_seq"]:
        raise BackupError(
            f"the stream {stream.name} ends at {found} after the restore, and at "
            f"{stream.state['last_seq']} in the backup"
        )


async def running_services(client: Client) -> list[str]:
    """Return the services that answer."""

    async def answers(service: str) -> bool:
        try:
            await client.request(f"$SRV.PING.{service}", b"", timeout=_PING_S)
        except (NoRespondersError, TimeoutError, NatsError):
            return False
        return True

    found = await asyncio.gather(*map(answers, _SERVICES))
    return [service for service, is_running in zip(_SERVICES, found, strict=True) if is_running]


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BackupError(
            f"the certificates in {ca_file} cannot be read (GEXLAKE_NATS_CA_FILE): {error}"
        ) from error


def _check_end(name: str, message: Msg) -> None:
    headers = message.headers or {}
    status = headers.get("Status", "")
    if status and not status.startswith("2"):
        raise BackupError(
            f"the snapshot of the stream {name} was ended: {headers.get('Description', status)}"
        )


async def _ask(client: Client, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    return await _send(client, subject, json.dumps(request).encode())


async def _send(client: Client, subject: str, content: bytes) -> dict[str, Any]:
    try:
        message = await client.request(subject, content, timeout=_TIMEOUT_S)
    except (NatsError, TimeoutError) as error:
        raise BackupError(f"the broker does not answer {subject}: {error}") from error
    answer: dict[str, Any] = json.loads(message.data) if message.data else {}
    if "error" in answer:
        raise BackupError(f"the broker refuses {subject}: {answer['error'].get('description')}")
    return answer
