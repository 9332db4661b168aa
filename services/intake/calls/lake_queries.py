"""Queries to the lake, sent on to the importer over NATS."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from gexlake.api import rpc, services
from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from gexlake.api.rpc import CallFailed, NoResponse, NoService, call
from gexlake.api.rpc_stream import call_stream
from services.intake.errors import NotReady, QueryFailed, Refused
from services.intake.state.broker_link import BrokerLink
from shared.bus.connection import translate_errors

GRACE_S: Final = 5.0
"""What a response may take beyond the time that the query itself may take."""


class LakeQueries:
    """Sends queries to the importer.

    Args:
        link: the broker, if it is there.
    """

    def __init__(self, link: BrokerLink) -> None:
        self._link = link

    async def rows(self, request: SqlRequest) -> SqlResponse:
        """Return the rows of a query, as far as the limits allow.

        Raises:
            QueryFailed: it is refused, fails, takes too long or too much memory.
            NotReady: the importer does not answer.
            BrokerUnavailable: the connection was lost.
        """
        bus = self._link.require()
        with translate_errors("send the query"):
            try:
                return await call(bus.client, services.SQL, request, request.timeout_s + GRACE_S)
            except CallFailed as error:
                raise _refusal(error) from error

    async def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        """Yield the whole result of a query in chunks, at the speed of the caller.

        Raises:
            QueryFailed: as for ``rows``; perhaps after the first chunks.
            NotReady: the importer does not answer; perhaps after the first chunks.
            BrokerUnavailable: the connection was lost.
        """
        bus = self._link.require()
        with translate_errors("send the query"):
            try:
                responses = call_stream(bus.client, services.EXPORT, request, request.timeout_s + GRACE_S)
                async with aclosing(responses) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except CallFailed as error:
                raise _refusal(error) from error


def _refusal(error: CallFailed) -> Refused:
    match error:
        case rpc.Refused():
            return QueryFailed(error.code, str(error))
        case NoService():
            why = "is it running?"
        case NoResponse():
            why = "it did not respond in time"
        case _:
            why = f"its response cannot be read: {error}"
    return NotReady(
        "importer", f"the importer does not answer the query ({why}): look at /status and its log"
    )
