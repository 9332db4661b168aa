"""The routes of the registry of symbols: register, list, change and delete them."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.convertors import StringConvertor, register_url_convertor

from gexlake.api.chronox.bars import DayRange
from gexlake.api.chronox.symbols import (
    AnyStrategy,
    BulkOutcome,
    BulkResult,
    BulkRow,
    BulkSymbols,
    NewSymbol,
    StatusChange,
    SymbolChanges,
    SymbolDetails,
    SymbolsList,
    SymbolStatus,
    SymbolView,
)
from services.intake.errors import Refused, Unprocessable
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import AppContext, Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_limited, read_model
from services.intake.http.revisions import IfMatch, revision_in
from services.intake.symbols.csv_rows import symbols_in
from services.intake.symbols.store import no_symbol
from shared.symbol_registry import SymbolRevision


class _SymbolConvertor(StringConvertor):
    """A symbol in a path may have a slash, as in BRK/B; the paths of other routes are none."""

    regex = r"(?!bulk$)(?!.*/status$).+"


register_url_convertor("symbol", _SymbolConvertor())
router = APIRouter(prefix="/api/v1/symbols", tags=["symbols"], dependencies=[Depends(require_key)])
_HISTORY_BEGINS: Final = date(2000, 1, 1)
"""Before the vendor's first bar."""
_CSV: Final = "text/csv"
_AT_ONCE: Final = 16
"""How many symbols are registered at a time: the broker flushes its disk for each."""


@router.get("", summary="Which symbols are registered?", responses=documented(401, 422, 503))
async def get_symbols(
    context: Context,
    enabled_only: bool = False,  # noqa: FBT001, FBT002 (of the query)
    status: SymbolStatus | None = None,
    strategy: AnyStrategy | None = None,
) -> SymbolsList:
    """List the symbols in alphabetical order."""
    context.symbols.require_read()
    symbols = [
        _view(found)
        for found in context.symbols.all
        if (found.symbol.enabled or not enabled_only)
        and status in {None, found.symbol.status}
        and strategy in {None, found.symbol.strategy}
    ]
    return SymbolsList(symbols=symbols, total_count=len(symbols))


@router.post(
    "",
    status_code=201,
    summary="Register a symbol",
    responses=documented(400, 401, 409, 413, 415, 422, 503),
    openapi_extra=described_body(NewSymbol),
)
async def post_symbol(
    request: Request, response: Response, context: Context, client: ClientName
) -> SymbolView:
    """Register a symbol with its strategy; the same request again changes nothing.

    Strategies may also be written as `flatpack+snapshot+stream` and in upper case.
    """
    new = await read_model(request, NewSymbol)
    found, _ = await context.symbol_store.register(new, public_name(client))
    response.headers["Location"] = f"/api/v1/symbols/{found.symbol.symbol}"
    return _tagged(response, found)


@router.post(
    "/bulk",
    summary="Register many symbols",
    responses=documented(400, 401, 413, 415, 422, 503),
    openapi_extra=described_body(BulkSymbols),
)
async def post_symbols(request: Request, context: Context, client: ClientName) -> BulkResult:
    """Register the symbols of a JSON object or a CSV file (`Content-Type: text/csv`).

    The first line of the file names its columns: `symbol`, `strategy`, perhaps `enabled` and `description`.
    Each symbol is registered or refused by itself; the same request again changes nothing.
    """
    by = public_name(client)
    sent = await _sent(request)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def register(number: int, symbol: dict[str, Any]) -> BulkRow:
        async with slots:
            return await _register(context, number, symbol, by)

    rows = await asyncio.gather(*(register(number, symbol) for number, symbol in enumerate(sent, 1)))
    counts = {outcome: sum(row.outcome is outcome for row in rows) for outcome in BulkOutcome}
    return BulkResult(rows=rows, **counts)


@router.put(
    "/{symbol:path}/status",
    summary="Set the status of a symbol",
    responses=documented(400, 401, 404, 412, 413, 415, 422, 503),
    openapi_extra=described_body(StatusChange),
)
async def put_status(
    symbol: str,
    request: Request,
    response: Response,
    context: Context,
    client: ClientName,
    if_match: IfMatch = None,
) -> SymbolView:
    """Set a status: `disabled` switches the symbol off, `idle` switches it on and clears an error."""
    change = await read_model(request, StatusChange)
    revision = revision_in(if_match)
    found = await context.symbol_store.set_status(symbol, change, revision, public_name(client))
    return _tagged(response, found)


@router.get("/{symbol:symbol}", summary="Show a symbol", responses=documented(401, 404, 422, 503))
async def get_symbol(symbol: str, response: Response, context: Context) -> SymbolDetails:
    """Show a symbol, and what the lake has of its bars; its ETag is its revision."""
    context.symbols.require_read()
    found = context.symbols.get(symbol)
    if found is None:
        raise no_symbol(symbol)
    days = DayRange(first=_HISTORY_BEGINS, last=context.clock().date())
    coverage = await context.chronox.lake.of_symbol(found.symbol.symbol, days)
    view = _tagged(response, found)
    return SymbolDetails(**view.model_dump(), coverage=coverage)


@router.patch(
    "/{symbol:symbol}",
    summary="Change a symbol",
    responses=documented(400, 401, 404, 412, 413, 415, 422, 503),
    openapi_extra=described_body(SymbolChanges),
)
async def patch_symbol(
    symbol: str,
    request: Request,
    response: Response,
    context: Context,
    client: ClientName,
    if_match: IfMatch = None,
) -> SymbolView:
    """Change some fields of a symbol; those that are left out, or null, stay as they are."""
    changes = (await read_model(request, SymbolChanges)).model_dump(exclude_none=True)
    revision = revision_in(if_match)
    return _tagged(
        response, await context.symbol_store.change(symbol, changes, revision, public_name(client))
    )


@router.delete(
    "/{symbol:symbol}",
    status_code=204,
    summary="Delete a symbol",
    responses=documented(401, 404, 412, 422, 503),
)
async def delete_symbol(symbol: str, context: Context, client: ClientName, if_match: IfMatch = None) -> None:
    """Take a symbol out of the registry; its bars stay. To keep it and switch it off, set its status."""
    await context.symbol_store.delete(symbol, revision_in(if_match), public_name(client))


async def _sent(request: Request) -> list[dict[str, Any]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _CSV:
        return (await read_model(request, BulkSymbols)).symbols
    return symbols_in(await read_limited(request.stream(), request.headers.get("content-length")))


async def _register(context: AppContext, number: int, sent: dict[str, Any], by: str) -> BulkRow:
    symbol = sent.get("symbol")
    shown = symbol[:40] if isinstance(symbol, str) else None
    try:
        new = NewSymbol.model_validate(sent)
        _, is_new = await context.symbol_store.register(new, by)
    except ValidationError as error:
        return _refused(number, shown, Unprocessable.first_of(error.errors()))
    except Refused as error:
        return _refused(number, shown, error)
    outcome = BulkOutcome.ADDED if is_new else BulkOutcome.UNCHANGED
    return BulkRow(row=number, symbol=new.symbol, outcome=outcome)


def _refused(number: int, symbol: str | None, error: Refused) -> BulkRow:
    return BulkRow(
        row=number, symbol=symbol, outcome=BulkOutcome.REFUSED, field=error.field, message=str(error)
    )


def _tagged(response: Response, found: SymbolRevision) -> SymbolView:
    response.headers["ETag"] = f'"{found.revision}"'
    return _view(found)


def _view(found: SymbolRevision) -> SymbolView:
    return SymbolView(**found.symbol.model_dump(), revision=found.revision)
