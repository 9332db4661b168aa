"""Requests and responses over NATS: one ``call`` and one ``serve`` for typed endpoints.

A refused request is answered with the error headers of NATS micro services (``Nats-Service-Error``,
``Nats-Service-Error-Code``); the body may have the whole text: ``{"error": {"message": …}}``.

    CallFailed
    ├── NoService           no service answers this subject
    ├── NoResponse          no response in time
    ├── Refused             the service refused the request, or could not carry it out
    └── UnreadableResponse  the response is not of the endpoint's model

Errors of the connection (``nats.errors.Error``, ``OSError``) are the caller's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER
from nats.micro.request import Request as MicroRequest
from nats.micro.service import Service
from pydantic import BaseModel, ValidationError

BAD_REQUEST: Final = 400
FAILED: Final = 500
TOO_LARGE: Final = 413
MAX_RESPONSE_BYTES: Final = 1_000_000
"""A NATS message has 1 MiB, with its headers."""
MAX_ERROR_CHARACTERS: Final = 10_000

Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Endpoint(Generic[Q, A]):
    """A subject with the models of its requests and responses.

    Args:
        name: as ``nats service info`` shows it.
        subject: where requests go.
        request: the model of a request; an empty request is an empty object.
        response: the model of a response.
        description: shown by ``nats service info``.
        example: of a request, shown there too.
        error_has_body: whether an error response has the whole text in its body, beside the headers.
    """

    name: str
    subject: str
    request: type[Q]
    response: type[A]
    description: str = ""
    example: str = ""
    error_has_body: bool = True


class CallFailed(Exception):
    """Base of the errors of ``call``."""


class NoService(CallFailed):
    """No service answers the subject."""


class NoResponse(CallFailed):
    """The service did not respond in time."""


class Refused(CallFailed):
    """A request was refused or could not be carried out; raised by handlers and by ``call``.

    Args:
        code: as in HTTP: 4xx refused, 503 to be sent again, 500 failed.
        message: why.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnreadableResponse(CallFailed):
    """A response that is not of the endpoint's model; ``str()`` says what is wrong with it."""


async def call(client: Client, endpoint: Endpoint[Q, A], request: Q, timeout_s: float) -> A:
    """Send a request and return the response.

    Args:
        client: a connection to NATS.
        endpoint: where to send it.
        request: fields that are None are left out.
        timeout_s: how long to wait.

    Raises:
        CallFailed: no response, a refusal, or an unreadable response.
        nats.errors.Error: the connection was lost.
    """
    content = request.model_dump_json(exclude_none=True).encode()
    try:
        message = await client.request(endpoint.subject, content, timeout=timeout_s)
    except NoRespondersError as error:
        raise NoService(f"no service answers {endpoint.subject}") from error
    except (NatsTimeoutError, TimeoutError) as error:
        raise NoResponse(f"{endpoint.subject} did not respond within {timeout_s:g} s") from error
    headers = message.headers or {}
    if ERROR_HEADER in headers or ERROR_CODE_HEADER in headers:
        raise refusal_of(headers)
    try:
        return endpoint.response.model_validate(json.loads(message.data))
    except ValidationError as error:
        raise UnreadableResponse(_first_problem(error, "response")) from error
    except ValueError as error:
        raise UnreadableResponse("no JSON") from error


def refusal_of(headers: Mapping[str, str]) -> Refused:
    """Return the refusal that the headers of a response contain."""
    code = headers.get(ERROR_CODE_HEADER, "")
    return Refused(int(code) if code.isdecimal() else FAILED, headers.get(ERROR_HEADER, "no reason given"))


def parse_request(model: type[Q], data: bytes) -> Q:
    """Read a request strictly as JSON.

    Raises:
        Refused: it is not of the model; the message names the field.
    """
    try:
        return model.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise Refused(BAD_REQUEST, _first_problem(error, "request")) from error


async def serve(
    service: Service,
    endpoint: Endpoint[Q, A],
    handle: Callable[[Q], Awaitable[A]],
    *,
    refusal: Callable[[Exception], Refused],
    parse: Callable[[type[Q], bytes], Q] = parse_request,
) -> None:
    """Add an endpoint to a micro service; requests are handled side by side.

    Args:
        service: the micro service.
        endpoint: what to add.
        handle: returns the response to a request.
        refusal: turns an error of ``parse`` or ``handle`` into a refusal; ``Refused`` stays as it is.
        parse: reads a request.
    """
    running: set[asyncio.Task[None]] = set()

    async def respond(request: MicroRequest) -> None:
        try:
            response = await handle(parse(endpoint.request, request.data))
            content = _encoded(response)
        except Exception as error:  # noqa: BLE001 (every request gets a response)
            refused = error if isinstance(error, Refused) else refusal(error)
            text = str(refused)[:MAX_ERROR_CHARACTERS]
            body = json.dumps({"error": {"message": text}}).encode() if endpoint.error_has_body else b""
            # A header is one line.
            await request.respond_error(str(refused.code), " ".join(text.split()), body)
        else:
            await request.respond(content)

    async def start(request: MicroRequest) -> None:
        task = asyncio.create_task(respond(request))
        running.add(task)
        task.add_done_callback(running.discard)

    shown = {"description": endpoint.description, "request": endpoint.example}
    metadata = {name: text for name, text in shown.items() if text}
    await service.add_endpoint(
        name=endpoint.name, subject=endpoint.subject, handler=start, metadata=metadata or None
    )


def _encoded(response: BaseModel) -> bytes:
    content = json.dumps(response.model_dump(mode="json"), separators=(",", ":")).encode()
    if len(content) > MAX_RESPONSE_BYTES:
        raise Refused(TOO_LARGE, f"the response has {len(content)} bytes: ask for less")
    return content


def _first_problem(error: ValidationError, whole: str) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"]) or whole
    return f"{place}: {problem['msg']}"
