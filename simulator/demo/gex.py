"""The whole system on one generated trading day, from a posted URL to Parquet: ``make demo``.

Everything runs in a temporary folder on free ports and is removed at the end; ``--keep`` keeps the folder.
When the result differs from the generated day, it prints the ends of the logs and one line, and exits with 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gexlake.api.jobs import JobView
from gexlake.cli.answers import read_job
from gexlake.cli.errors import CommandFailed
from gexlake.cli.following.watch import follow, shown_on
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.rows import Rows
from gexlake.cli.output.tables import rows_table
from gexlake.cli.settings import CliSettings
from shared.gexbot.partition import Partition
from shared.paths import LakePaths
from simulator.demo.process import DemoFailed
from simulator.generator import Day, FileSummary
from simulator.stack import Stack, StackError
from simulator.vendor import Vendor

_QUERY_TIMEOUT_S = 30.0
_TOP_STRIKES = """
SELECT strike, gamma, oi_gamma, priors FROM gex_strikes
WHERE {where} AND timestamp = (SELECT max(timestamp) FROM gex_snapshots WHERE {where})
ORDER BY abs(gamma) DESC LIMIT 5"""


@dataclass
class Stopwatch:
    """The duration of each stage, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        began = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - began


@dataclass(frozen=True)
class Imported:
    """What the lake holds of the day."""

    snapshots: int
    strike_rows: int
    parquet_rows: int
    parquet: Path
    top_strikes: Rows


def run(day: Day, folder: Path, out: Console) -> None:
    """Generate the day, import it, and show what the lake holds.

    Raises:
        DemoFailed: the lake does not hold what was generated.
        StackError: the system did not start.
        CommandFailed: intake or the importer did not answer.
    """
    watch = Stopwatch()
    source = folder / "vendor" / day.file_name
    source.parent.mkdir()
    with watch.timing("generate"):
        summary = _generate(day, source, out)
    with Vendor(source.parent) as vendor:
        stack = Stack(folder, env={"GEXLAKE_ALLOWED_SOURCES": vendor.base_url})
        try:
            with watch.timing("start"):
                stack.start()
                stack.wait_ready()
            job = _submit_and_wait(stack, vendor.url_of(day.file_name), out)
            watch.seconds |= {stage: s for stage, s in job.seconds.items() if stage != "wait"}
            with watch.timing("query"):
                imported = _query(stack, day)
            compare(summary, job, imported)
        except (StackError, CommandFailed, DemoFailed):
            out.print(stack.tails(), markup=False)
            raise
        finally:
            stack.stop()
    _show(imported, folder, watch, out)


def _generate(day: Day, path: Path, out: Console) -> FileSummary:
    columns = (TextColumn("generate"), BarColumn(), MofNCompleteColumn(), TextColumn("snapshots"))
    with Progress(*columns, TimeElapsedColumn(), console=out) as progress:
        task = progress.add_task("generate", total=day.snapshots)
        summary = day.write(path, on_record=lambda: progress.advance(task))
    out.print(f"{day.file_name}: {decimal(summary.bytes)}")
    return summary


def _submit_and_wait(stack: Stack, url: str, out: Console) -> JobView:
    out.print(f"POST {stack.url}/gex_history_url")
    with Intake(CliSettings(url=stack.url)) as intake, shown_on(out) as show:
        job_id = intake.submit({"url": url, "endpoint": "gex_zero"})["id"]
        return follow(lambda: read_job(intake.job(job_id)), show)


def _query(stack: Stack, day: Day) -> Imported:
    where = f"ticker = '{day.ticker}' AND endpoint = '{day.endpoint}'"

    def ask(sql: str) -> Rows:
        with Intake(CliSettings(url=stack.url)) as intake:
            return Rows.of(intake.query(sql, 10, _QUERY_TIMEOUT_S))

    def count(table: str) -> int:
        return int(ask(f"SELECT count(*) FROM {table} WHERE {where}").rows[0][0])  # noqa: S608 (fixed words)

    return Imported(
        snapshots=count("gex_snapshots"),
        strike_rows=count("gex_strikes"),
        parquet_rows=count("parquet_gex_strikes"),
        parquet=LakePaths.under(stack.data_dir).parquet(Partition(day.ticker, day.endpoint, day.day)),
        top_strikes=ask(_TOP_STRIKES.format(where=where)),
    )


def compare(summary: FileSummary, job: JobView, imported: Imported) -> None:
    """Compare what was imported with what was generated.

    Raises:
        DemoFailed: they differ; the message names the difference.
    """
    if not job.succeeded:
        raise DemoFailed(f"the job ended {job.state}: {job.error}")
    for what, generated, found in (
        ("bytes fetched", summary.bytes, job.bytes_fetched),
        ("sha256", summary.sha256, job.checksum),
        ("snapshots in DuckDB", summary.snapshots, imported.snapshots),
        ("strike rows in DuckDB", summary.strike_rows, imported.strike_rows),
        ("strike rows in Parquet", summary.strike_rows, imported.parquet_rows),
    ):
        if generated != found:
            raise DemoFailed(f"{what}: {generated} were generated, {found} found")
    if not imported.parquet.is_file():
        raise DemoFailed(f"{imported.parquet} is missing")


def _show(imported: Imported, folder: Path, watch: Stopwatch, out: Console) -> None:
    size = decimal(imported.parquet.stat().st_size)
    out.print(f"\nDuckDB   {imported.snapshots:,} snapshots, {imported.strike_rows:,} strike rows")
    out.print(
        f"Parquet  {imported.parquet_rows:,} strike rows, {size}, {imported.parquet.relative_to(folder)}"
    )
    out.print("Seconds  " + ", ".join(f"{stage} {s:.1f}" for stage, s in watch.seconds.items()))
    out.print("\nThe strikes with the largest gamma at the last snapshot:")
    out.print(rows_table(imported.top_strikes))
