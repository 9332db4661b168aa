"""The one logging pipeline: JSON lines without secrets."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from pydantic import SecretStr

from shared.process import logs
from tests.support.values import a_fetch

SECRET = "s1gnature-0f-the-url"
Lines = Callable[[], list[dict[str, Any]]]
URL = f"https://hist.gex.bot/f.json?sig={SECRET}"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    root.handlers.clear()  # pytest's own would be closed
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(level: str, stream: io.StringIO) -> io.StringIO:
    with contextlib.redirect_stderr(stream):
        logs.configure("tester", level)
    return stream


@pytest.fixture
def lines() -> Lines:
    stderr = configured("DEBUG", io.StringIO())

    def read() -> list[dict[str, Any]]:
        assert SECRET not in stderr.getvalue()
        return [json.loads(line) for line in stderr.getvalue().splitlines()]

    return read


def fail() -> None:
    raise httpx.ConnectError(f"cannot reach {URL}") from ValueError(URL)


def test_a_line_is_json_with_event_level_service_and_time(lines: Lines) -> None:
    structlog.get_logger("any").info("file_staged", job_id="j", bytes=12)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "file_staged", "level": "info", "service": "tester", "job_id": "j", "bytes": 12}


@pytest.mark.parametrize(
    "value",
    [
        URL,
        {"request": {"url": URL}},
        [URL, (URL,)],
        {URL: 1},
        {URL},
        httpx.URL(URL),
        httpx.Request("GET", URL),
        URL.encode(),
        ValueError(f"cannot fetch {URL}"),
        SecretStr(URL),
        a_fetch(url=SecretStr(URL)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_signed_url_in_a_value_is_not_printed(lines: Lines, value: object) -> None:
    structlog.get_logger().warning("event", value=value)
    assert len(lines()) == 1


def test_a_signed_url_in_the_event_is_not_printed(lines: Lines) -> None:
    structlog.get_logger().error(f"failed {URL}")
    assert lines()[0]["event"] == "failed https://hist.gex.bot/f.json?[redacted]"


def test_a_field_with_the_name_of_a_secret_is_redacted(lines: Lines) -> None:
    structlog.get_logger().info("event", Authorization="Basic x", headers={"X-API-Key": "y", "Accept": "z"})
    line = lines()[0]
    assert line["Authorization"] == "[redacted]"
    assert line["headers"] == {"X-API-Key": "[redacted]", "Accept": "z"}


def test_a_signed_url_in_a_traceback_is_not_printed(lines: Lines) -> None:
    try:
        fail()
    except httpx.ConnectError:
        structlog.get_logger().exception("fetch_failed", url=URL)
        logging.getLogger("library").exception("failed %s", URL)
    ours, theirs = lines()
    assert "ConnectError" in ours["exception"]
    assert "ConnectError" in theirs["exception"]


def test_a_signed_url_from_the_standard_library_is_not_printed(lines: Lines) -> None:
    logging.getLogger("library").info('HTTP Request: GET %s "%s"', httpx.URL(URL), "HTTP/1.1 200 OK")
    line = lines()[0]
    assert line["level"] == "info"
    assert "200 OK" in line["event"]


def test_request_logs_of_libraries_are_silenced(lines: Lines) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get(URL)
    assert lines() == []


def test_numbers_booleans_and_none_are_unchanged(lines: Lines) -> None:
    structlog.get_logger().info("event", rows=3, share=0.5, missing=None, done=True)
    line = lines()[0]
    assert (line["rows"], line["share"], line["missing"], line["done"]) == (3, 0.5, None, True)


def test_lines_below_the_level_are_not_written() -> None:
    stderr = configured("warning", io.StringIO())
    structlog.get_logger().info("idle")
    structlog.get_logger().warning("awake")
    assert [json.loads(line)["event"] for line in stderr.getvalue().splitlines()] == ["awake"]


def test_a_log_folder_gets_the_same_lines_without_secrets(tmp_path: Path) -> None:
    logs.configure("tester", "INFO", tmp_path / "deep" / "logs")
    structlog.get_logger().info("fetching", url=URL)
    written = (tmp_path / "deep" / "logs" / "tester.log").read_text()
    assert SECRET not in written
    assert json.loads(written)["url"] == "https://hist.gex.bot/f.json?[redacted]"


def test_a_terminal_gets_no_secret_either() -> None:
    stderr = configured("INFO", Terminal())
    try:
        fail()
    except httpx.ConnectError:
        structlog.get_logger().exception("failed", url=httpx.URL(URL), nested={"url": [URL]})
    assert not stderr.getvalue().startswith("{")
    assert "ConnectError" in stderr.getvalue()
    assert SECRET not in stderr.getvalue()


def test_one_logger_is_also_written_in_the_form_of_the_first_system(tmp_path: Path) -> None:
    configured("INFO", io.StringIO())
    logs.write_beside("runs", tmp_path, "chronox.log")
    structlog.get_logger("runs").error("symbol_execution_failed", symbol="NVDA", url=URL)
    structlog.get_logger("others").error("else")
    logger = logging.getLogger("runs")
    logger.handlers.pop().close()
    (line,) = [json.loads(text) for text in (tmp_path / "chronox.log").read_text().splitlines()]
    assert list(line)[:3] == ["time", "level", "message"]
    assert (line["level"], line["message"], line["symbol"]) == ("ERROR", "symbol_execution_failed", "NVDA")
    assert SECRET not in line["url"]
