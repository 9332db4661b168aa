"""What answers look like on a terminal; numbers and words in, rich tables out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from gexlake.api.jobs import JobView, Status
from gexlake.cli.answers import counts_of, skip_reason
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.rows import Rows

_PIPED_WIDTH: Final = 100_000
"""Columns when the output is no terminal: wide enough that rows stay whole."""
_SHORT_ID: Final = 8
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_COLOURS: Final = {
    Status.COMPLETED: "green",
    Status.SKIPPED: "cyan",
    Status.FAILED: "red",
    Status.CANCELLED: "magenta",
}
_NUMBER: Final = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)")


def console(stream: TextIO, *, wide: bool = False) -> Console:
    """Return a console on a stream; if ``wide``, or on a pipe or in a file, rows are never cut or wrapped."""
    is_fitted = stream.isatty() and not wide
    return Console(file=stream, width=None if is_fitted else _PIPED_WIDTH, highlight=False)


def new_table(*names: str, numbers: Iterable[str] = ()) -> FittedTable:
    """Return an empty table; of its columns, ``numbers`` stand right."""
    right = set(numbers)
    return FittedTable([Column(name, right=name in right) for name in names])


def rows_table(rows: Rows) -> FittedTable:
    """Show the answer to a query."""
    kinds = zip(rows.columns, rows.types, strict=True)
    table = FittedTable([Column(name, right=bool(_NUMBER.fullmatch(kind))) for name, kind in kinds])
    for row in rows.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def write_csv(rows: Rows, stream: TextIO) -> None:
    """Write the answer to a query as CSV with a header; null is an empty field."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows(["" if value is None else _plain(value) for value in row] for row in rows.rows)


def jobs_table(jobs: Sequence[JobView], *, whole_ids: bool) -> FittedTable:
    """Show jobs, one a line.

    Args:
        jobs: the jobs.
        whole_ids: show every id whole, not just as much of it as tells these jobs apart.
    """
    table = FittedTable(_job_columns(jobs), has_rule=False)
    length = None if whole_ids else _telling_length([str(job.id) for job in jobs])
    for job in jobs:
        table.add_row(
            str(job.id)[:length],
            job.ticker,
            job.endpoint,
            "" if job.trading_day is None else job.trading_day.isoformat(),
            _state(job),
            decimal(job.bytes_fetched) if job.bytes_fetched else "",
            _count(job.rows if job.strike_rows is None else job.strike_rows),
            f"{job.requested_at.astimezone(UTC):%m-%d %H:%M}",
        )
    return table


def _job_columns(jobs: Sequence[JobView]) -> tuple[Column, ...]:
    has_others = any(job.strike_rows is None and job.rows is not None for job in jobs)
    return (
        Column("id"),
        Column("ticker"),
        Column("endpoint"),
        Column("day"),
        Column("state"),
        Column("size", right=True, drop=2),
        Column("rows" if has_others else "strikes", right=True, drop=1),
        Column("asked (UTC)", drop=3),
    )


def _telling_length(ids: Sequence[str]) -> int:
    """Return how many characters tell ids apart, at least eight."""
    distinct = len(set(ids))
    lengths = range(_SHORT_ID, len(ids[0]) if ids else 0)
    return next((n for n in lengths if len({each[:n] for each in ids}) == distinct), 36)


def job_card(job: JobView) -> Table:
    """Show all that matters of one job."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(job):
        table.add_row(name, value)
    return table


def status_tables(status: dict[str, Any]) -> Sequence[RenderableType]:
    """Show the overview: each part of the answer is a table of its own, whatever parts there are."""
    flat = {name: part for name, part in status.items() if not isinstance(part, dict | list)}
    parts = {name: part for name, part in status.items() if isinstance(part, dict | list) and part}
    tables = [_part("gexlake", flat), *(_part(name, part) for name, part in parts.items())]
    return [line for table in tables for line in (table, "")][:-1]


def _part(title: str, part: Any) -> FittedTable:
    records = _records(part)
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [
        Column(
            name.replace("_", " "),
            right=all(type(record.get(name, 0)) in {int, float} for record in records),
            drop=int(name == "at"),  # age_s says the same
            wraps=name == "last_error",
        )
        for name in names
    ]
    table = FittedTable(columns, title.replace("_", " "))
    for record in records:
        table.add_row(*(_cell(_shorter(record.get(name, ""))) for name in names))
    return table


def _shorter(value: Any) -> Any:
    """Return a time of an answer without its fraction and zone, which is UTC; anything else as it is."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return value
    return _moment(datetime.fromisoformat(value))


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
    if rows := counts_of(job):
        yield "rows", rows
    if job.checksum:
        yield "sha256", job.checksum
    if job.parquet_path:
        yield "parquet", Text(f"{job.parquet_path} ({decimal(job.parquet_bytes or 0)})")
    for step in job.transitions:
        yield step.state, _moment(step.at)
    why = job.reason if job.state is Status.CANCELLED else skip_reason(job)
    if why:
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
