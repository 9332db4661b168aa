"""Read the JSON object that a request posts: its content type, its bytes within a limit, its JSON."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from services.intake.errors import TooLarge, Unprocessable, UnsupportedMediaType
from services.intake.history.json_object import read_object

MAX_BODY_BYTES: Final = 1024 * 1024
_PATIENCE: Final = 16
"""A body up to this many times the limit is read to its end and thrown away before it is refused: closing
the connection at once would make many clients see a reset instead of the answer."""
_JSON_TYPE: Final = re.compile(r"application/(json|[a-z0-9!#$&^_.+-]+\+json)", re.IGNORECASE)

Model = TypeVar("Model", bound=BaseModel)


async def read_model(request: Request, model: type[Model]) -> Model:
    """Return what a request posts as a model.

    Raises:
        BadRequest: it is no JSON, or no object.
        Unprocessable: a field is missing or wrong.
        TooLarge: the body is over the limit.
        UnsupportedMediaType: it is announced as something else than JSON.
    """
    try:
        return model.model_validate(await read_json_object(request))
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors()) from error


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a body that a route reads itself, so that its size and errors are those of all routes."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def read_json_object(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """Return the object that a request posts; an ``optional`` one that is not there is empty.

    Raises:
        BadRequest: it is no JSON, or no object.
        TooLarge: the body is over the limit.
        UnsupportedMediaType: it is announced as something else than JSON.
    """
    body = await read_json_bytes(request)
    return {} if optional and not body.strip() else read_object(body)


async def read_json_bytes(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of a request that is announced as JSON, or without a type.

    Args:
        request: the request.
        limit: of the body, in bytes.

    Raises:
        TooLarge: the body is over the limit.
        UnsupportedMediaType: it is announced as something else than JSON.
    """
    check_content_type(request.headers.get("content-type"))
    return await read_limited(request.stream(), request.headers.get("content-length"), limit)


def check_content_type(header: str | None) -> None:
    """Let JSON pass, also as ``text/plain`` (which ``sendBeacon`` sends) or without a type.

    Raises:
        UnsupportedMediaType: it is anything else.
    """
    content_type = _without_parameters(header)
    if content_type and content_type.lower() != "text/plain" and not is_json_type(header):
        raise UnsupportedMediaType(content_type)


def is_json_type(header: str | None) -> bool:
    """Report whether a content type is JSON's; a page may send no such body without asking first."""
    return _JSON_TYPE.fullmatch(_without_parameters(header)) is not None


def _without_parameters(header: str | None) -> str:
    return (header or "").partition(";")[0].strip()


async def read_limited(
    chunks: AsyncIterator[bytes], announced: str | None, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Return a body, whether or not its length was announced.

    Args:
        chunks: the body as it comes in.
        announced: the Content-Length header; None for a chunked body.
        limit: in bytes.

    Raises:
        TooLarge: the body is over the limit; never more than the limit is kept in memory.
    """
    if announced is not None and announced.isdecimal() and int(announced) > _PATIENCE * limit:
        raise TooLarge(limit)
    body, seen = bytearray(), 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen <= limit:
            body += chunk
        elif seen > _PATIENCE * limit:
            break
    if seen > limit:
        raise TooLarge(limit)
    return bytes(body)
