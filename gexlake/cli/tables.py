"""What answers look like on a terminal; numbers and words in, rich tables out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from gexlake.api.jobs import JobView, Status
from gexlake.cli.answers import skip_reason
from gexlake.cli.lake_client import Rows

_PIPED_WIDTH: Final = 200
"""Columns when the output is no terminal: wide enough that rows stay whole."""
_COLOURS: Final = {Status.COMPLETED: "green", Status.SKIPPED: "cyan", Status.FAILED: "red"}
_NUMBER: Final = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)")


def console(stream: TextIO) -> Console:
    """Return a console on a stream."""
    return Console(file=stream, width=None if stream.isatty() else _PIPED_WIDTH, highlight=False)


def new_table(*names: str, numbers: Iterable[str] = ()) -> Table:
    """Return an empty table in the form that all of them have; of its columns, ``numbers`` stand right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    right = set(numbers)
    for name in names:
        table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    return table


def rows_table(rows: Rows) -> Table:
    """Show the answer to a query."""
    table = new_table()
    for name, kind in zip(rows.columns, rows.types, strict=True):
        table.add_column(Text(name), justify="right" if _NUMBER.fullmatch(kind) else "left", overflow="fold")
    for row in rows.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def write_csv(rows: Rows, stream: TextIO) -> None:
    """Write the answer to a query as CSV with a header; null is an empty field."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows(["" if value is None else _plain(value) for value in row] for row in rows.rows)


def jobs_table(jobs: Iterable[JobView]) -> Table:
    """Show jobs, one a line; the id is whole, however narrow the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("id", "ticker", "endpoint", "day", "state", "size", "strikes", "asked (UTC)"):
        is_number = name in {"size", "strikes"}
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=name == "id", overflow="fold"
        )
    for job in jobs:
        table.add_row(
            str(job.id),
            Text(job.ticker),
            job.endpoint,
            "" if job.trading_day is None else job.trading_day.isoformat(),
            _state(job),
            decimal(job.bytes_fetched) if job.bytes_fetched else "",
            _count(job.strike_rows),
            f"{job.requested_at.astimezone(UTC):%m-%d %H:%M}",
        )
    return table


def job_card(job: JobView) -> Table:
    """Show all that matters of one job."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(job):
        table.add_row(name, value)
    return table


def status_tables(status: dict[str, Any]) -> list[Table]:
    """Show the overview: each part of the answer is a table of its own, whatever parts there are."""
    flat = {name: part for name, part in status.items() if not isinstance(part, dict | list)}
    parts = {name: part for name, part in status.items() if isinstance(part, dict | list) and part}
    return [_part("gexlake", flat), *(_part(name, part) for name, part in parts.items())]


def _part(title: str, part: Any) -> Table:
    records = _records(part)
    table = new_table()
    table.title, table.title_justify = title.replace("_", " "), "left"
    names = list(dict.fromkeys(name for record in records for name in record))
    for name in names:
        table.add_column(name.replace("_", " "))
    for record in records:
        table.add_row(*(_cell(record.get(name, "")) for name in names))
    return table


def _records(part: Any) -> list[dict[str, Any]]:
    """Return the lines of a part: of a list its elements, of a dict of these its entries with their names."""
    if isinstance(part, list):
        return _lines(part)
    if all(isinstance(value, dict | list) for value in part.values()):
        return [{"": name, **line} for name, value in part.items() for line in _lines(value)]
    return [part]


def _lines(value: Any) -> list[dict[str, Any]]:
    return [line if isinstance(line, dict) else {"": line} for line in _listed(value)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _facts(job: JobView) -> Iterable[tuple[str, str | Text]]:
    yield "id", str(job.id)
    yield "state", _state(job)
    yield "file of", Text(f"{job.ticker} {job.endpoint} {job.trading_day or ''}")
    if job.bytes_fetched:
        expected = "" if job.bytes_expected is None else f" of {decimal(job.bytes_expected)}"
        yield "fetched", decimal(job.bytes_fetched) + expected
    if job.snapshots is not None:
        yield "rows", f"{_count(job.snapshots)} snapshots, {_count(job.strike_rows)} strike rows"
    if job.checksum:
        yield "sha256", job.checksum
    if job.parquet_path:
        yield "parquet", Text(f"{job.parquet_path} ({decimal(job.parquet_bytes or 0)})")
    for step in job.transitions:
        yield step.state, _moment(step.at)
    if why := skip_reason(job):
        yield "why", Text(why)
    if job.error:
        yield "error", Text(job.error)
    if job.error_field:
        yield "field", Text(job.error_field)
    if job.dead_letter_seq is not None:
        yield "dead letter", str(job.dead_letter_seq)


def _state(job: JobView) -> Text:
    return Text(job.state, style=_COLOURS.get(job.state, "yellow"))


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _cell(value: Any) -> Text:
    return Text("null", style="dim") if value is None else Text(str(_plain(value)))


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value
