"""Responses over NATS that are larger than a message: a sequence of chunks, at the receiver's speed.

The service sends chunks to the inbox of the request. Each has a number in the header ``Gex-Chunk``, and in
``Gex-Ack`` the subject of its acknowledgement; only ``WINDOW`` chunks may be without one. The last
message has the header ``Gex-End`` with the number of chunks, so that a missing one is noticed. A response
may also end with the error headers of ``rpc``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Final, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER
from nats.micro.request import Request as MicroRequest
from nats.micro.service import Service
from pydantic import BaseModel

from gexlake.api.rpc import (
    Endpoint,
    NoResponse,
    NoService,
    Refused,
    UnreadableResponse,
    parse_request,
    refusal_of,
)

CHUNK_HEADER: Final = "Gex-Chunk"
ACK_HEADER: Final = "Gex-Ack"
END_HEADER: Final = "Gex-End"
STOP: Final = b"stop"
"""What a receiver that wants no further chunk sends in place of an acknowledgement."""
WINDOW: Final = 8
"""How many chunks may be sent without an acknowledgement."""
MAX_CHUNK_BYTES: Final = 512 * 1024
ACK_TIMEOUT_S: Final = 60.0
"""How long a receiver may take for a chunk."""
_NO_RESPONDERS: Final = "503"

Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


async def call_stream(
    client: Client, endpoint: Endpoint[Q, A], request: Q, timeout_s: float
) -> AsyncGenerator[bytes, None]:
    """Send a request and yield the chunks of the response.

    Args:
        client: a connection to NATS.
        endpoint: where to send it.
        request: fields that are None are left out.
        timeout_s: how long to wait for the next chunk.

    Raises:
        CallFailed: no response, a refusal, or a chunk that is missing; perhaps after the first chunks.
        nats.errors.Error: the connection was lost.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, pending_msgs_limit=4 * WINDOW)
    acks = ""
    try:
        await client.publish(endpoint.subject, request.model_dump_json(exclude_none=True).encode(), inbox)
        number = 0
        while True:
            try:
                message = await subscription.next_msg(timeout_s)
            except TimeoutError as error:
                raise NoResponse(f"{endpoint.subject} did not respond within {timeout_s:g} s") from error
            if _is_end(message, endpoint.subject, number):
                acks = ""
                return
            number += 1
            acks = (message.headers or {})[ACK_HEADER]
            yield message.data
            await client.publish(acks, str(number).encode())
    finally:
        await subscription.unsubscribe()
        if acks:
            with suppress(nats.errors.Error):  # the sender then waits for its timeout
                await client.publish(acks, STOP)


def _is_end(message: Msg, subject: str, received: int) -> bool:
    headers = message.headers or {}
    if headers.get("Status") == _NO_RESPONDERS:
        raise NoService(f"no service answers {subject}")
    if ERROR_HEADER in headers or ERROR_CODE_HEADER in headers:
        raise refusal_of(headers)
    expected = headers.get(END_HEADER) or headers.get(CHUNK_HEADER)
    if expected != str(received if END_HEADER in headers else received + 1):
        raise UnreadableResponse(f"a chunk is missing: {received} came, the next one is {expected}")
    return END_HEADER in headers


async def serve_stream(
    service: Service,
    client: Client,
    endpoint: Endpoint[Q, A],
    handle: Callable[[Q], AsyncGenerator[bytes, None]],
    *,
    refusal: Callable[[Exception], Refused],
) -> None:
    """Add an endpoint that responds in chunks to a micro service.

    Args:
        service: the micro service.
        client: its connection.
        endpoint: what to add.
        handle: yields the response, in chunks of at most ``MAX_CHUNK_BYTES``.
        refusal: turns an error of ``handle`` into a refusal; ``Refused`` stays as it is.
    """
    running: set[asyncio.Task[None]] = set()

    async def respond(request: MicroRequest) -> None:
        try:
            async with aclosing(handle(parse_request(endpoint.request, request.data))) as chunks:
                await _send(client, request, chunks)
        except Exception as error:  # noqa: BLE001 (every request gets a response)
            refused = error if isinstance(error, Refused) else refusal(error)
            await request.respond_error(str(refused.code), " ".join(str(refused).split()))

    async def start(request: MicroRequest) -> None:
        task = asyncio.create_task(respond(request))
        running.add(task)
        task.add_done_callback(running.discard)

    metadata = {"description": endpoint.description} if endpoint.description else None
    await service.add_endpoint(name=endpoint.name, subject=endpoint.subject, handler=start, metadata=metadata)


async def _send(client: Client, request: MicroRequest, chunks: AsyncIterator[bytes]) -> None:
    """Send chunks, and wait for acknowledgements once ``WINDOW`` are missing.

    Raises:
        Refused: the receiver has stopped to acknowledge.
    """
    acks = client.new_inbox()
    subscription = await client.subscribe(acks)
    sent = acknowledged = 0
    try:
        async for chunk in chunks:
            sent += 1
            await request.respond(chunk, headers={CHUNK_HEADER: str(sent), ACK_HEADER: acks})
            while sent - acknowledged >= WINDOW:
                try:
                    ack = await subscription.next_msg(ACK_TIMEOUT_S)
                except TimeoutError as error:
                    raise Refused(408, f"the receiver took no chunk for {ACK_TIMEOUT_S:g} s") from error
                if ack.data == STOP:
                    return
                acknowledged += 1
        await request.respond(b"", headers={END_HEADER: str(sent)})
    finally:
        await subscription.unsubscribe()
