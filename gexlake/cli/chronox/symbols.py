"""``gexlake symbols``: list the registered symbols, add some, show, switch off or on, or remove one."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gexlake.api.chronox.symbols import (
    MAX_BULK,
    BulkOutcome,
    BulkResult,
    BulkRow,
    Strategy,
    SymbolsList,
    SymbolStatus,
    SymbolView,
)
from gexlake.cli.answers import read_as
from gexlake.cli.errors import UnusableCsv
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

app = typer.Typer(help="The registry of symbols whose minute bars are wanted.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="As the vendor writes it, case included.")]
_AT_ONCE: Final = min(200, MAX_BULK)
"""How many symbols of a file are sent together: the answer comes within the time-out."""


@app.command("list")
def list_symbols(
    enabled: Annotated[bool, typer.Option("--enabled", help="Only those that are switched on.")] = False,
    status: Annotated[SymbolStatus | None, typer.Option(help="Only those with this status.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only those with this strategy.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the symbols in alphabetical order."""
    filters = {"enabled_only": enabled or None, "status": status, "strategy": strategy}
    with _intake() as intake:
        answer = intake.symbols(filters)
    if as_json:
        _print_json(answer["symbols"])
        return
    found = read_as(SymbolsList, answer, "a list of symbols").symbols
    table = FittedTable(
        [
            Column("symbol"),
            Column("strategy"),
            Column("status"),
            Column("last backfill", drop=2),
            Column("last stream", drop=3),
            Column("about", drop=1, wraps=True),
        ]
    )
    for symbol in found:
        times = (symbol.last_backfill, symbol.last_stream)
        shown = (f"{at:%Y-%m-%d %H:%M}" if at else "" for at in times)
        about = symbol.error_message or symbol.description
        table.add_row(symbol.symbol, symbol.strategy, symbol.status, *shown, about)
    console(sys.stdout).print(table)


@app.command()
def add(
    symbol: Annotated[str | None, typer.Argument(help="As the vendor writes it, case included.")] = None,
    strategy: Annotated[str, typer.Argument(help=", ".join(Strategy))] = Strategy.FLATPACK_SNAPSHOT_STREAM,
    description: Annotated[str, typer.Option(help="What it is.")] = "",
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not bring it in yet.")] = False,
    from_csv: Annotated[
        Path | None, typer.Option("--csv", help="A file with the columns symbol and strategy.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a symbol, or those of a CSV file; one that is registered already changes nothing."""
    if (symbol is None) == (from_csv is None):
        raise typer.BadParameter("give a symbol, or a file by --csv")
    one = {"symbol": symbol, "strategy": strategy, "enabled": not disabled, "description": description}
    rows: list[BulkRow] = []
    symbols = [one] if from_csv is None else list(_rows_of(from_csv))
    with _intake() as intake:
        for part in _parts(symbols):
            result, before = read_as(BulkResult, intake.add_symbols(part), "a list of symbols"), len(rows)
            rows += [row.model_copy(update={"row": before + row.row}) for row in result.rows]
    if as_json:
        _print_json([row.model_dump(mode="json") for row in rows])
    else:
        _print_outcomes(rows)
    if any(row.outcome is BulkOutcome.REFUSED for row in rows):
        raise typer.Exit(1)


@app.command()
def show(symbol: Symbol) -> None:
    """Print a symbol as JSON."""
    with _intake() as intake:
        _print_json(intake.symbol(symbol))


@app.command()
def disable(symbol: Symbol, as_json: AsJson = False) -> None:
    """Switch a symbol off; it and its bars are kept."""
    _set(symbol, SymbolStatus.DISABLED, "disabled", as_json)


@app.command()
def enable(symbol: Symbol, as_json: AsJson = False) -> None:
    """Switch a symbol on again, and clear its error."""
    _set(symbol, SymbolStatus.IDLE, "enabled", as_json)


@app.command()
def strategy(
    symbol: Symbol,
    strategy: Annotated[str, typer.Argument(help=", ".join(Strategy))],
    as_json: AsJson = False,
) -> None:
    """Change the strategy of a symbol."""
    with _intake() as intake:
        answer = intake.change_symbol(symbol, {"strategy": strategy})
    _print_symbol("changed", answer, as_json)


@app.command()
def remove(symbol: Symbol) -> None:
    """Take a symbol out of the registry; its bars are kept."""
    with _intake() as intake:
        intake.remove_symbol(symbol)
    typer.echo(f"removed: {symbol}")


def _set(symbol: str, status: SymbolStatus, done: str, as_json: bool) -> None:
    with _intake() as intake:
        answer = intake.set_symbol_status(symbol, {"status": status})
    _print_symbol(done, answer, as_json)


def _rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines of a CSV file; empty cells are left out.

    Raises:
        UnusableCsv: it is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            if not {"symbol", "strategy"} <= set(reader.fieldnames):
                raise UnusableCsv(path, "it lacks a column")
            for row in reader:
                yield {
                    name: value.strip()
                    for name, value in row.items()
                    if isinstance(value, str) and value.strip()
                }
    except OSError as error:
        raise UnusableCsv(path, error.strerror or str(error)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnusableCsv(path, str(error)) from error


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while part := list(islice(remaining, _AT_ONCE)):
        yield part


def _print_outcomes(rows: list[BulkRow]) -> None:
    for row in rows:
        if row.outcome is BulkOutcome.REFUSED:
            typer.echo(f"row {row.row}, {row.symbol or 'no symbol'}: {row.message}", err=True)
    if len(rows) == 1 and rows[0].outcome is not BulkOutcome.REFUSED:
        typer.echo(f"{rows[0].outcome}: {rows[0].symbol}")
    elif len(rows) > 1:
        counts = (f"{sum(row.outcome is outcome for row in rows)} {outcome}" for outcome in BulkOutcome)
        typer.echo(", ".join(counts))


def _print_symbol(done: str, answer: dict[str, Any], as_json: bool) -> None:
    symbol = read_as(SymbolView, answer, "a symbol")
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{done}: {symbol.symbol} ({symbol.strategy}, {symbol.status})")


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _intake() -> Intake:
    return Intake(load(CliSettings))
