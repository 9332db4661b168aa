"""The route for SQL: rows as JSON, or a whole result as CSV or Arrow."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from services.intake.errors import Unprocessable
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.exports import CONTENT, stream_result, wanted_form
from services.intake.http.json_body import read_json_object

router = APIRouter(tags=["lake"], dependencies=[Depends(require_key)])

_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["query"],
    "properties": {
        "query": {"type": "string", "minLength": 1, "description": "one SELECT in DuckDB's SQL"},
        "max_rows": {"type": "integer", "minimum": 1, "default": 1000, "description": "with JSON only"},
        "timeout_s": {"type": "number", "exclusiveMinimum": 0},
    },
    "example": {"query": "SELECT ticker, endpoint, count(*) FROM gex_snapshots GROUP BY ALL"},
}
_RESULTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": SqlResponse,
        "description": "The rows as JSON, as far as the limits allow; as CSV or Arrow, all of them",
        "content": CONTENT,
    }
}


@router.post(
    "/api/v1/sql",
    summary="Query the lake",
    response_model=SqlResponse,
    responses={**_RESULTS, **documented(400, 401, 408, 413, 415, 422, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
)
async def post_sql(request: Request, context: Context) -> Any:
    """Run one query that reads, in a process of its own with limited time and memory.

    With the header `Accept: text/csv` or `Accept: application/vnd.apache.arrow.stream`, the whole result is
    streamed; if the connection ends early, the result is not complete.
    """
    body = await read_json_object(request)
    form = wanted_form(request.headers.get("accept", ""))
    if form is None:
        return await context.lake.rows(_read(SqlRequest, body))
    asked = _read(ExportRequest, {**body, "format": form})
    return await stream_result(context.lake.export(asked), form)


def _read(model: Any, body: dict[str, Any]) -> Any:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        text = problem["msg"]
        raise Unprocessable(field, problem["type"], f"{field}: {text[:1].lower()}{text[1:]}") from error
