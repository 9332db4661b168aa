"""Queries to the lake over NATS: the importer alone can open the database while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gexlake.api import services
from gexlake.api.rpc import CallFailed, NoResponse, NoService, Refused, call
from gexlake.api.services import SqlRequest
from gexlake.cli.errors import (
    BrokerUnreachable,
    CommandFailed,
    LakeUnreachable,
    QueryRefused,
    UnexpectedAnswer,
)
from gexlake.environment import BrokerSettings

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


async def query(settings: BrokerSettings, sql: str, max_rows: int, timeout_s: float) -> Rows:
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
    request = SqlRequest(query=sql, max_rows=max_rows, timeout_s=timeout_s)
    client = await _connect(settings.broker_url)
    try:
        response = await call(client, services.SQL, request, timeout_s + GRACE_S)
    except CallFailed as error:
        raise _failure(error, timeout_s + GRACE_S) from error
    except (NatsError, OSError) as error:
        raise BrokerUnreachable(settings.broker_url, _words(error)) from error
    finally:
        with suppress(NatsError, OSError):
            await client.close()
    return Rows(
        columns=tuple(column.name for column in response.columns),
        types=tuple(column.type for column in response.columns),
        rows=response.rows,
        truncated=response.truncated,
        seconds=response.seconds,
    )


def _failure(error: CallFailed, waited_s: float) -> CommandFailed:
    match error:
        case NoService():
            return LakeUnreachable()
        case NoResponse():
            return LakeUnreachable(waited_s)
        case Refused():
            return QueryRefused(str(error))
        case _:
            return UnexpectedAnswer("the importer", str(error), "GEXLAKE_NATS_URL")


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
        # The library's last error says only that no server is left to try.
        raise BrokerUnreachable(url, _words(problems[-1] if problems else error)) from error


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
