"""Intake's HTTP interface, as the command line uses it; errors of httpx are translated here."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import httpx
from httpx_sse import ServerSentEvent, SSEError, connect_sse
from pydantic import ValidationError

from gexlake.api.lake import SqlRequest, SqlResponse
from gexlake.cli.errors import (
    CertificateRefused,
    IntakeUnreachable,
    MissingOption,
    RequestRefused,
    ResultIncomplete,
    UnexpectedAnswer,
)
from gexlake.cli.http_client import TIMEOUT_S, client_options, usable
from gexlake.cli.settings import CliSettings

_EXPORT_TIMEOUT_S: Final = 900.0
_DETECT_TIMEOUT_S: Final = 180.0
_EXECUTE_TIMEOUT_S: Final = 120.0
"""Each run is on the broker's disk before the answer, and there may be thousands."""
_SILENT_S: Final = 45.0
"""After how long a stream of live snapshots is lost; it has a heartbeat each 15 s."""


class Intake:
    """A connection to intake.

    Args:
        settings: its address and the key.
        transport: stands in for the network in tests.
        key_setting: which setting has the key.
    """

    def __init__(
        self,
        settings: CliSettings,
        transport: httpx.BaseTransport | None = None,
        key_setting: str = "GEXLAKE_API_KEY",
    ) -> None:
        self._url = settings.intake_url
        self._key_setting = key_setting
        self._has_key = settings.api_key is not None
        with usable(self._url):
            self._client = httpx.Client(**client_options(settings), transport=transport)

    def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post a history URL; return the answer, with the job's ``id``.

        Raises:
            MissingOption: neither the file's name nor the body has the ticker or the endpoint.
            CommandFailed: any other reason.
        """
        try:
            return self._ask("POST", "/gex_history_url", json=dict(body))
        except RequestRefused as error:
            if error.missing not in {"ticker", "endpoint"}:
                raise
            raise MissingOption(error.missing) from error

    def backfill(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for history by date; return the plan, with the ids of its jobs."""
        return self._ask("POST", "/backfill", json=dict(body))

    def jobs(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of jobs, the newest first."""
        return self._ask("GET", "/jobs", params={k: v for k, v in filters.items() if v is not None})

    def job(self, job_id: str) -> dict[str, Any]:
        """Return all that is known of a job."""
        return self._ask("GET", f"/jobs/{quote(job_id, safe='')}")

    def replay(self, job_id: str, stage: str | None) -> dict[str, Any]:
        """Have a job done again."""
        return self._ask(
            "POST", f"/jobs/{quote(job_id, safe='')}/replay", json={"stage": stage} if stage else {}
        )

    def request(self, request_id: str) -> dict[str, Any]:
        """Return all that is known of a request."""
        return self._ask("GET", f"/api/v1/ingest/priority/{quote(request_id, safe='')}")

    def change_request(self, request_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give a request another priority and return it."""
        return self._ask("PATCH", f"/api/v1/ingest/priority/{quote(request_id, safe='')}", json=dict(body))

    def cancel_job(self, job_id: str, reason: str | None) -> dict[str, Any]:
        """Cancel a job that no worker has."""
        return self._cancel(f"/api/v1/processing-jobs/{quote(job_id, safe='')}", reason)

    def cancel_request(self, request_id: str, reason: str | None) -> dict[str, Any]:
        """Cancel the job of a request, if no worker has it."""
        return self._cancel(f"/api/v1/ingest/priority/{quote(request_id, safe='')}", reason)

    def _cancel(self, path: str, reason: str | None) -> dict[str, Any]:
        return self._ask("DELETE", path, params={} if reason is None else {"reason": reason})

    def status(self) -> dict[str, Any]:
        """Return the overview of the system."""
        return self._ask("GET", "/status")

    def snapshots(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first page of the stored snapshots of a range."""
        return self.snapshots_at(f"/gex/snapshots?{urlencode(query)}")

    def snapshots_at(self, path: str) -> dict[str, Any]:
        """Return the page that another one names as the next."""
        page = self._ask("GET", path)
        if not isinstance(page.get("snapshots"), list):
            raise UnexpectedAnswer(self._url, "it sent no snapshots")
        return page

    def has_stream_only(self) -> bool:
        """Return whether snapshots can be posted for stream readers alone."""
        paths = self._ask("GET", "/openapi.json").get("paths", {})
        parameters = paths.get("/gex", {}).get("post", {}).get("parameters", [])
        return any(parameter.get("name") == "stream_only" for parameter in parameters)

    def queue(self) -> dict[str, Any]:
        """Return what waits, by level."""
        return self._ask("GET", "/api/v1/ingest/priority/queue")

    def sla(self, window: str) -> dict[str, Any]:
        """Return which promises were kept in a window."""
        return self._ask("GET", "/api/v1/sla", params={"window": window})

    def rules(self) -> dict[str, Any]:
        """Return all priority rules."""
        return self._ask("GET", "/api/v1/rules")

    def add_rule(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a priority rule and return it."""
        return self._ask("POST", "/api/v1/rules", json=dict(body))

    def change_rule(self, rule_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a priority rule and return it."""
        return self._ask("PATCH", f"/api/v1/rules/{quote(rule_id, safe='')}", json=dict(body))

    def evaluate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the rules decide of a request that is not queued."""
        return self._ask("POST", "/api/v1/rules/evaluate", json=dict(body))

    def sources(self, *, active_only: bool = False) -> dict[str, Any]:
        """Return the sources of files."""
        return self._ask("GET", f"/api/v1/sources?active_only={str(active_only).lower()}")

    def change_source(self, source_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a source and return it."""
        return self._ask("PATCH", f"/api/v1/sources/{quote(source_id, safe='')}", json=dict(body))

    def symbols(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the registered symbols."""
        return self._ask("GET", "/api/v1/symbols", params={k: v for k, v in filters.items() if v is not None})

    def schedule(self) -> dict[str, Any]:
        """Return the janitor's schedule."""
        return self._ask("GET", "/api/v1/scheduler/status")

    def change_schedule(self, change: str) -> dict[str, Any]:
        """Start or stop the schedule and return it; ``change`` is ``start`` or ``stop``."""
        return self._ask("POST", f"/api/v1/scheduler/{change}")

    def run_scheduled(self, job_id: str) -> dict[str, Any]:
        """Start a scheduled job now and return the schedule."""
        return self._ask("POST", f"/api/v1/scheduler/jobs/{quote(job_id, safe='')}/run")

    def symbol(self, symbol: str) -> dict[str, Any]:
        """Return one registered symbol."""
        return self._ask("GET", _symbol_path(symbol))

    def add_symbols(self, symbols: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Register symbols and return what came of each."""
        return self._ask("POST", "/api/v1/symbols/bulk", json={"symbols": list(symbols)})

    def change_symbol(self, symbol: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a registered symbol and return it."""
        return self._ask("PATCH", _symbol_path(symbol), json=dict(body))

    def set_symbol_status(self, symbol: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set the status of a registered symbol and return it."""
        return self._ask("PUT", f"{_symbol_path(symbol)}/status", json=dict(body))

    def gaps(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return gaps of minute bars, the oldest first."""
        return self._ask("GET", "/api/v1/gaps", params={k: v for k, v in filters.items() if v is not None})

    def detect_gaps(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have gaps found and filled."""
        with self._translated(_DETECT_TIMEOUT_S):
            response = self._client.post("/api/v1/gaps/detect", json=dict(body), timeout=_DETECT_TIMEOUT_S)
        return self._read(response)

    def remove_symbol(self, symbol: str) -> None:
        """Delete a registered symbol."""
        self._ask("DELETE", _symbol_path(symbol))

    def execute(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begin runs of registered symbols and return what came of each."""
        return self._ask("POST", "/api/v1/registry/execute", json=dict(body), timeout=_EXECUTE_TIMEOUT_S)

    def runs(self) -> dict[str, Any]:
        """Return the run of each symbol, or its last one."""
        return self._ask("GET", "/api/v1/registry/runs")

    def refresh_snapshots(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have snapshots fetched and return the jobs."""
        return self._ask("POST", "/api/v1/registry/snapshots", json=dict(body))

    def start_scheduler(self) -> dict[str, Any]:
        """Start the jobs of the schedule and return its state."""
        return self._ask("POST", "/api/v1/scheduler/start")

    def query(self, statement: str, max_rows: int, timeout_s: float) -> SqlResponse:
        """Return the rows of a query, as far as the limits allow."""
        body = SqlRequest(query=statement, max_rows=max_rows, timeout_s=timeout_s).model_dump()
        answer = self._ask("POST", "/api/v1/sql", json=body, timeout=timeout_s + TIMEOUT_S)
        try:
            return SqlResponse.model_validate(answer)
        except ValidationError as error:
            raise UnexpectedAnswer(self._url, "it sent no rows") from error

    def export(
        self, statement: str, content_type: str, timeout_s: float | None, write: Callable[[bytes], object]
    ) -> None:
        """Write the whole result of a query in chunks.

        Raises:
            ResultIncomplete: it ended before its end.
        """
        body = {"query": statement, **({"timeout_s": timeout_s} if timeout_s else {})}
        timeout = httpx.Timeout(TIMEOUT_S, read=timeout_s or _EXPORT_TIMEOUT_S)
        begun = False
        try:
            with self._client.stream(
                "POST", "/api/v1/sql", json=body, headers={"Accept": content_type}, timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    self._read(response)
                for chunk in response.iter_bytes():
                    begun = True
                    write(chunk)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise (ResultIncomplete(why) if begun else IntakeUnreachable(self._url, why)) from error

    def live(self, query: Mapping[str, str], last_id: str) -> Iterator[ServerSentEvent]:
        """Yield live snapshots as they come, until intake ends the stream.

        The first event has no data: it comes as soon as the stream has begun.

        Args:
            query: which snapshots.
            last_id: the last event that is known; empty for new ones only.

        Raises:
            IntakeUnreachable: no connection, or it was lost.
        """
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(TIMEOUT_S, read=_SILENT_S)
        with (
            self._translated(_SILENT_S),
            connect_sse(
                self._client, "GET", "/gex/stream", params=dict(query), headers=headers, timeout=timeout
            ) as source,
        ):
            if not source.response.is_success:
                source.response.read()
                self._read(source.response)
            try:
                yield from source.iter_sse()
            except SSEError as error:
                raise UnexpectedAnswer(self._url, str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        with self._translated(TIMEOUT_S):
            response = self._client.request(method, path, **request)
        return self._read(response)

    @contextmanager
    def _translated(self, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise IntakeUnreachable(self._url, f"no answer within {timeout_s:g} s") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise UnexpectedAnswer(self._url, str(error)) from error
        except httpx.ConnectError as error:
            if isinstance(cause := _root_of(error), ssl.SSLError):
                raise CertificateRefused(self._url, cause) from error
            raise IntakeUnreachable(self._url, str(error) or type(error).__name__) from error
        except httpx.RemoteProtocolError as error:
            raise IntakeUnreachable(self._url, f"{error}; does it want https?") from error
        except httpx.TransportError as error:
            raise IntakeUnreachable(self._url, str(error) or type(error).__name__) from error

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except (JSONDecodeError, UnicodeDecodeError):
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        if response.status_code == httpx.codes.NO_CONTENT:
            return {}
        problem = answer.get("error") if isinstance(answer, dict) else None
        problem = problem if isinstance(problem, dict) else {}
        message = problem.get("message")
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise RequestRefused(response.status_code, self._about_the_key())
        if not message:
            raise UnexpectedAnswer(self._url, f"status {response.status_code} without a message of its own")
        missing = problem.get("field") if problem.get("rule") == "missing" else None
        raise RequestRefused(response.status_code, message, missing)

    def _about_the_key(self) -> str:
        if self._has_key:
            return f"intake at {self._url} does not accept the API key in {self._key_setting}"
        return f"intake at {self._url} wants an API key: set {self._key_setting}"


def _symbol_path(symbol: str) -> str:
    return f"/api/v1/symbols/{quote(symbol, safe='')}"


def _root_of(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
