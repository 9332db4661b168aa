"""Every recipe of docs/queries.md, run unchanged on a small lake, returns what the files hold."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import pytest
from typer.testing import CliRunner

from gexlake import __version__
from gexlake.api.lake import SqlRequest, SqlResponse
from gexlake.cli.commands import app
from gexlake.cli.intake_client import Intake
from services.importer.queries.service import SqlQueries
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.importer.queries import ask, with_queries
from tests.support.recipes import Recipe, recipes_of
from tests.support.repository import ROOT
from tests.support.values import a_job

RECIPES: Final = recipes_of(ROOT / "docs/queries.md")
NEW_YORK: Final = ZoneInfo("America/New_York")

SECONDS: Final = (0, 1, 3600, 3601, 23_399)
"""After the open at 09:30: with gaps of an hour and of five and a half between them."""
DAYS: Final = tuple(date(2025, 11, day) for day in (12, 13, 14, 18))  # a weekend and a Monday are missing
FRIDAY: Final = date(2025, 11, 14)
PARTITIONS: Final = ((FRIDAY, "gex_full"), *((day, "gex_zero") for day in DAYS))
PRIORS: Final = {25000: [-240.55, -243.15, 0, -221.27, -220.12], 25010: [1.5], 25020: [], 25030: None}
Rows = list[tuple[Any, ...]]


def document(day: date, endpoint: str = "gex_zero") -> list[dict[str, Any]]:
    """Return a day's records; no two of a lake have the same figures."""
    days = (day - FRIDAY).days
    shift = 1000 * days + (500 if endpoint == "gex_full" else 0)
    return [
        a_record(
            days * 86_400 + second,
            spot=25_000 + shift + index,
            zero_gamma=24_900 + shift + index,
            strikes=[
                [strike, shift + index + strike / 8, -index, *([] if prior is None else [prior])]
                for strike, prior in reversed(PRIORS.items())
            ],
        )
        for index, second in enumerate(SECONDS)
    ]


@pytest.fixture(scope="module")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "docs").symlink_to(ROOT / "docs")
    lake = LakeOnDisk(folder / "data")
    for day, endpoint in PARTITIONS:
        job = a_job(
            trading_day=day, endpoint=endpoint, base_url=f"https://hist.gex.bot/{day}_NQ_NDX_{endpoint}.json"
        )
        lake.import_staged(lake.stage(document(day, endpoint), job))
    yield lake
    lake.close()


@pytest.fixture
def lake(small_lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch) -> LakeOnDisk:
    monkeypatch.chdir(small_lake.settings.data_dir.parent)
    return small_lake


def at(day: date, second: int) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(hours=9, minutes=30, seconds=second)


def strikes_at(index: int) -> list[list[Any]]:
    return sorted(document(FRIDAY)[index]["strikes"])


PROFILE: Final = [tuple(strike[:3]) for strike in strikes_at(2)]
LINE: Final = [
    (second, strike[1], strike[2])
    for second, record in zip(SECONDS, document(FRIDAY), strict=True)
    for strike in record["strikes"]
    if strike[0] == 25_000
]
ZERO_GAMMA: Final = [
    (at(day, second // 300 * 300), record["zero_gamma"], record["spot"])
    for day in DAYS
    for index, (second, record) in enumerate(zip(SECONDS, document(day), strict=True))
    if index not in {0, 2}  # the next second is in the same five minutes
]
UNPACKED: Final = [
    (strike, gamma, *(prior[0] if prior else []), *[None] * (5 - len(prior[0] if prior else [])))
    for strike, gamma, _, *prior in strikes_at(2)
]
COVERED: Final = [("NQ_NDX", endpoint, day, 5, 20) for day, endpoint in PARTITIONS]
GAPS: Final = [
    (at(FRIDAY, 1), at(FRIDAY, 3600), 3599.0),
    (at(FRIDAY, 3601), at(FRIDAY, 23_399), 19_798.0),
]
MEAN: Final = 25_000 / 8
ABOUT: Final = {
    "gexlake.schema_version": "1",
    "gexlake.version": __version__,
    "gexlake.ticker": "NQ_NDX",
    "gexlake.endpoint": "gex_zero",
    "gexlake.trading_day": "2025-11-14",
}

SQL: Final[dict[str, Rows]] = {
    "A profile at one second 1": PROFILE,
    "A profile at one second 4": [
        (at(FRIDAY, 3601), 25_003.0, 24_903.0, strike, gamma) for strike, gamma, *_ in strikes_at(3)
    ],
    "One strike over a day 1": [(at(FRIDAY, second), *figures) for second, *figures in LINE],
    "The zero-gamma line over a month 1": ZERO_GAMMA,
    "Coverage 1": [(*covered, at(covered[2], 0), at(covered[2], 23_399)) for covered in COVERED],
    "Coverage 2": COVERED,
    "Coverage 5": [("NQ_NDX", "gex_zero", date(2025, 11, 17))],
    "Coverage 6": GAPS,
    "Priors as numbers 1": UNPACKED,
    "New York time 1": [
        (at(FRIDAY, -1800), 2, MEAN + 0.5),
        (at(FRIDAY, 1800), 2, MEAN + 2.5),
        (at(FRIDAY, 19_800), 1, MEAN + 4),
    ],
}
"""What the queries answer; those whose answers are too long to write down are in ``SQL_CHECKS``."""


def check_comments(rows: Rows) -> None:
    assert [name for name, *_ in rows][:4] == ["timestamp", "ticker", "endpoint", "spot_price"]
    assert rows[0][1:] == ("BIGINT", "UTC epoch milliseconds; the vendor's timestamp has seconds")


def check_metadata(rows: Rows) -> None:
    found: dict[str, str] = dict(rows)
    assert found.items() >= ABOUT.items()
    assert {"gexlake.job_id", "gexlake.source_sha256"} == found.keys() - ABOUT.keys()


SQL_CHECKS: Final[dict[str, Callable[[Rows], None]]] = {
    "Introduction 1": check_comments,
    "Metadata of a file 1": check_metadata,
}
IMPORTER_ONLY: Final = {
    "Introduction 1",
    "A profile at one second 4",
    "The zero-gamma line over a month 1",
    "Coverage 1",
}


def new_york(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, NEW_YORK).replace(tzinfo=None)


def rows_of(frame: Any) -> Rows:
    """Return the rows of a frame of Polars or pandas, with None for missing values."""
    if hasattr(frame, "rows"):
        return list(frame.rows())
    return [
        tuple(None if value != value else value for value in row)  # noqa: PLR0124 (NaN)
        for row in frame.itertuples(index=False, name=None)
    ]


def wall_clock(frame: Any) -> Rows:
    """Return the rows of a frame whose first column is in epoch milliseconds, that as New York time."""
    return [(new_york(first), *rest) for first, *rest in rows_of(frame)]


def check_days(names: dict[str, Any]) -> None:
    assert names["days"] == [(day,) for day in DAYS]


def check_profile(names: dict[str, Any]) -> None:
    assert rows_of(names["profile"]) == PROFILE


def check_line(names: dict[str, Any]) -> None:
    assert wall_clock(names["line"]) == [(at(FRIDAY, second), *figures) for second, *figures in LINE]


def check_zero_gamma(names: dict[str, Any]) -> None:
    assert rows_of(names["line"]) == ZERO_GAMMA


def check_coverage(names: dict[str, Any]) -> None:
    assert rows_of(names["coverage"]) == COVERED


def check_footers(names: dict[str, Any]) -> None:
    expected = [(*key, f"{day:%Y%m%d}", rows) for *key, day, _, rows in COVERED]
    assert rows_of(names["coverage"]) == expected


def check_priors(names: dict[str, Any]) -> None:
    columns = ["timestamp", "strike", "gamma", *names["names"]]
    unpacked = names["priors"][columns]
    rows = sorted(wall_clock(unpacked), key=lambda row: row[:2])
    assert len(rows) == 20
    assert [row[1:] for row in rows if row[0] == at(FRIDAY, 3600)] == UNPACKED


def check_moments(names: dict[str, Any]) -> None:
    moments = names["moments"]
    found = [row[0] for row in moments.rows()] if hasattr(moments, "rows") else list(moments)
    assert [moment.replace(tzinfo=None) for moment in found] == [at(FRIDAY, second) for second in SECONDS]
    assert {moment.utcoffset() for moment in found} == {timedelta(hours=-5)}


def check_schema_version(names: dict[str, Any]) -> None:
    assert names["schema_version"] == 1


PYTHON: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "Introduction 2": check_days,
    "A profile at one second 2": check_profile,
    "A profile at one second 3": check_profile,
    "One strike over a day 2": check_line,
    "One strike over a day 3": check_line,
    "The zero-gamma line over a month 2": check_zero_gamma,
    "The zero-gamma line over a month 3": check_zero_gamma,
    "Coverage 3": check_coverage,
    "Coverage 4": check_footers,
    "Priors as numbers 2": check_priors,
    "Priors as numbers 3": check_priors,
    "New York time 2": check_moments,
    "New York time 3": check_moments,
    "Metadata of a file 2": check_schema_version,
    "Metadata of a file 3": check_schema_version,
}


def of_language(language: str) -> list[Recipe]:
    return [recipe for recipe in RECIPES if recipe.language == language]


def test_every_recipe_of_the_page_is_run() -> None:
    assert {recipe.name for recipe in RECIPES} == SQL.keys() | SQL_CHECKS.keys() | PYTHON.keys()
    assert {recipe.language for recipe in RECIPES} == {"sql", "python"}


def check_rows(recipe: Recipe, rows: Rows) -> None:
    if recipe.name in SQL:
        assert rows == SQL[recipe.name]
    else:
        SQL_CHECKS[recipe.name](rows)


@pytest.fixture(scope="module")
def answers(small_lake: LakeOnDisk) -> dict[str, SqlResponse]:
    """Return what the importer answers to the queries, by the names of their recipes."""
    folder = small_lake.settings.data_dir

    async def run(queries: SqlQueries) -> dict[str, SqlResponse]:
        return {
            recipe.name: await queries.sql(SqlRequest(query=recipe.code.replace("'data/", f"'{folder}/")))
            for recipe in of_language("sql")
        }

    return with_queries(small_lake, run)


@pytest.mark.parametrize("recipe", of_language("sql"), ids=lambda recipe: recipe.name)
def test_a_query_to_the_importer_returns_what_the_files_hold(
    answers: dict[str, SqlResponse], recipe: Recipe
) -> None:
    answer = answers[recipe.name]
    assert not answer.truncated
    kinds = [column.type for column in answer.columns]
    check_rows(recipe, [tuple(map(read, kinds, row)) for row in answer.rows])


def read(kind: str, value: Any) -> Any:
    """Return a value as DuckDB has it, from its JSON."""
    if value is not None and kind in {"DATE", "TIMESTAMP"}:
        return (date if kind == "DATE" else datetime).fromisoformat(value)
    return value


@pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in of_language("sql") if recipe.name not in IMPORTER_ONLY],
    ids=lambda recipe: recipe.name,
)
@pytest.mark.usefixtures("lake")
def test_a_query_of_the_files_returns_what_they_hold(recipe: Recipe) -> None:
    with duckdb.connect() as outside:
        outside.execute(Path("docs/lake.sql").read_text())
        check_rows(recipe, outside.execute(recipe.code).fetchall())


@pytest.mark.parametrize("recipe", of_language("python"), ids=lambda recipe: recipe.name)
def test_a_program_finds_what_the_files_hold(
    lake: LakeOnDisk, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sql,) = (each for each in RECIPES if each.name == "The zero-gamma line over a month 1")
    Path("zero_gamma.sql").write_text(sql.code)

    def query(_: Intake, statement: str, max_rows: int, timeout_s: float) -> SqlResponse:
        return ask(lake, statement, max_rows=max_rows, timeout_s=timeout_s)

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Run ``gexlake`` in this process."""
        assert command[0] == "gexlake"
        result = CliRunner().invoke(app, command[1:], catch_exceptions=False)
        return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr)

    monkeypatch.setattr(Intake, "query", query)
    monkeypatch.setattr(subprocess, "run", run)
    names: dict[str, Any] = {}
    exec(compile(recipe.code, f"docs/queries.md: {recipe.name}", "exec"), names)  # noqa: S102 (ours)
    PYTHON[recipe.name](names)
