"""Queries to the lake over NATS: the importer alone can open the database while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.micro.request import ERROR_HEADER
from pydantic import BaseModel, ValidationError, model_validator

from gexlake.cli.errors import BrokerUnreachable, LakeUnreachable, QueryRefused, UnexpectedAnswer
from shared.bus import subjects
from shared.process.settings import Settings

_CONNECT_TIMEOUT_S: Final = 2
GRACE_S: Final = 5.0
"""What the answer may take beyond the time that the query itself may take."""


@dataclass(frozen=True)
class Rows:
    """The answer to a query."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    """Whether there are more rows: than asked for, than the importer gives, or than fit into one answer."""
    seconds: float

    def objects(self) -> list[dict[str, Any]]:
        """Return the rows as JSON objects; a repeated column name gets a number."""
        names = _distinct(self.columns)
        return [dict(zip(names, row, strict=True)) for row in self.rows]


class _Column(BaseModel):
    name: str
    type: str


class _Answer(BaseModel):
    """The answer as it comes over NATS."""

    columns: tuple[_Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    seconds: float

    @model_validator(mode="after")
    def _rows_fit_the_columns(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("a row has not one value for each column")
        return self


async def query(settings: Settings, sql: str, max_rows: int, timeout_s: float) -> Rows:
    """Have the importer answer one query.

    Args:
        settings: where the broker is.
        sql: one statement that reads.
        max_rows: how many rows to return at most.
        timeout_s: how long the query may take.

    Raises:
        BrokerUnreachable: NATS does not answer.
        LakeUnreachable: the importer does not answer.
        QueryRefused: the statement is wrong, not allowed, or took too long.
        UnexpectedAnswer: the answer is not one of the importer's.
    """
    request = {"query": sql, "max_rows": max_rows, "timeout_s": timeout_s}
    client = await _connect(settings.broker_url)
    try:
        answer = await client.request(
            subjects.lake("sql"), json.dumps(request).encode(), timeout=timeout_s + GRACE_S
        )
    except NoRespondersError as error:
        raise LakeUnreachable from error
    except (NatsTimeoutError, TimeoutError) as error:
        raise LakeUnreachable(timeout_s + GRACE_S) from error
    except (NatsError, OSError) as error:
        raise BrokerUnreachable(settings.broker_url, _words(error)) from error
    finally:
        with suppress(NatsError, OSError):
            await client.close()
    return _read(answer)


async def _connect(url: str) -> Client:
    problems: list[Exception] = []

    async def note(error: Exception) -> None:
        problems.append(error)

    try:
        return await nats.connect(
            url,
            name="gexlake",
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_reconnect_attempts=1,  # the first connect counts as one, and 0 would try forever
            reconnect_time_wait=0.2,
            error_cb=note,
        )
    except (NatsError, OSError, ValueError, TimeoutError) as error:
        # The library's last error tells only that no server is left to try.
        raise BrokerUnreachable(url, _words(problems[-1] if problems else error)) from error


def _read(answer: Msg) -> Rows:
    problem = (answer.headers or {}).get(ERROR_HEADER)
    if problem:
        raise QueryRefused(problem)
    try:
        content = _Answer.model_validate(json.loads(answer.data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise _unexpected(f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise _unexpected("no JSON") from error
    return Rows(
        columns=tuple(column.name for column in content.columns),
        types=tuple(column.type for column in content.columns),
        rows=content.rows,
        truncated=content.truncated,
        seconds=content.seconds,
    )


def _unexpected(what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer("the importer", what, "GEXLAKE_NATS_URL")


def _distinct(names: Iterable[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).removeprefix("nats: ")
