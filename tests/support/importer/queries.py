"""Queries on a lake, in processes as the importer runs them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from services.importer.queries.service import SqlQueries
from tests.support.importer.lake import LakeOnDisk

T = TypeVar("T")


def ask(lake: LakeOnDisk, query: str, **limits: Any) -> SqlResponse:
    """Return the response to a query."""
    request = SqlRequest(query=query, **limits)
    return with_queries(lake, lambda queries: queries.sql(request))


def export(lake: LakeOnDisk, query: str, **options: Any) -> bytes:
    """Return the whole result of a query."""
    request = ExportRequest(query=query, **options)

    async def read(queries: SqlQueries) -> bytes:
        return b"".join([chunk async for chunk in queries.export(request)])

    return with_queries(lake, read)


def with_queries(lake: LakeOnDisk, work: Callable[[SqlQueries], Awaitable[T]]) -> T:
    """Return what ``work`` returns, which sends queries to the lake."""

    async def run() -> T:
        queries = SqlQueries(lake.lake, lake.settings)
        await queries.start()
        try:
            return await work(queries)
        finally:
            await queries.pool.close()

    with _without_script():
        return asyncio.run(run())


@contextmanager
def _without_script() -> Iterator[None]:
    """Keep the processes from importing the script that runs the tests: that takes longer than a query."""
    main = sys.modules["__main__"]
    script = main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        if script is not None:
            main.__file__ = script
