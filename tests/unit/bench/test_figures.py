"""The benchmark's arithmetic: medians, peaks, ratios, growth, verdicts, alternation and tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.inputs import Input
from bench.measure.figures import MIB, Run, Runs, Target, grown
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.sections import bars, file, imports, lake, pipeline, queries
from bench.workbench import Sizes
from simulator.generator import Day, FileSummary


def a_run(seconds: float = 1.0, cpu_s: float = 1.0, peak_mib: float = 100) -> Run:
    return Run(seconds, cpu_s, int(peak_mib * MIB))


def runs(*seconds: float, peak_mib: float = 100) -> Runs:
    return Runs([a_run(each, peak_mib=peak_mib) for each in seconds])


def an_input(megabytes: float = 100.0) -> Input:
    return Input(Day(), FileSummary(23_400, 2_340_000, int(megabytes * 1e6), "a" * 64), Path("day.json"))


def test_the_median_and_the_range_of_an_odd_and_an_even_number_of_runs() -> None:
    assert (runs(3, 1, 2).median_s, runs(4, 1, 2, 9).median_s) == (2, 3)
    assert runs(3, 1, 2).spread_s == (1, 3)


def test_the_peak_is_the_largest_of_all_runs() -> None:
    several = Runs([a_run(peak_mib=100), a_run(peak_mib=130), a_run(peak_mib=90)])
    assert several.peak_mib == 130


def test_ratios_are_those_of_the_medians() -> None:
    assert runs(2, 2, 100).ratio_to(runs(8, 8, 1)) == 0.25


def test_seconds_per_megabyte_count_millions_of_bytes() -> None:
    assert runs(3).seconds_per_mb(150_000_000) == pytest.approx(0.02)


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one run"):
        Runs([])


@pytest.mark.parametrize(("figure", "verdict"), [(0.149, "met"), (0.15, "met"), (0.151, "MISSED")])
def test_a_target_is_met_up_to_its_bound(figure: float, verdict: str) -> None:
    assert Target(0.15).judge(figure) == f"≤ 0.15: {verdict}"


def test_growth_is_in_percent_and_negative_when_there_is_less() -> None:
    assert grown(110, 100) == pytest.approx(10)
    assert grown(90, 100) == pytest.approx(-10)


def test_runs_alternate() -> None:
    done: list[str] = []

    def doing(name: str, seconds: float) -> Callable[[], Run]:
        def way() -> Run:
            done.append(name)
            return a_run(seconds * len(done))

        return way

    measured = interleaved({"a": doing("a", 1), "b": doing("b", 10)}, 3, lambda _: None)
    assert done == ["a", "b"] * 3
    assert [run.seconds for run in measured["a"].each] == [1, 3, 5]
    assert [run.seconds for run in measured["b"].each] == [20, 40, 60]


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    table = Table("Growth", ["what", "s"], [["one", "1.00"], ["two", "2.00"]], note="In short.")
    assert table.markdown() == (
        "### Growth\n\nIn short.\n\n| what | s |\n| --- | ---: |\n| one | 1.00 |\n| two | 2.00 |\n"
    )


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Growth: a row is not 2 cells long"):
        Table("Growth", ["what", "s"], [["one"]]).markdown()


def column(table: Table, name: str, number: int = 0) -> list[str]:
    """Return the cells of the ``number``-th column of that name."""
    places = [place for place, title in enumerate(table.columns) if title == name]
    return [row[places[number]] for row in table.rows]


def test_imports_are_judged_by_the_seeds_time_and_by_their_own_memory() -> None:
    measured = {
        imports.SEED: runs(9, 10, 11, peak_mib=900),
        imports.OURS: runs(1.4, peak_mib=561),
        imports.OURS_BOUNDED: runs(3.1, peak_mib=280),
    }
    sizes = {name: Sizes(55_000_000, 120_000_000) for name in measured}
    table = imports.table(an_input(), measured, sizes)
    assert column(table, "of seed SQL") == ["1.000", "0.140", "0.310"]
    assert column(table, "target") == ["", "≤ 0.15: met", "≤ 0.3: MISSED"]
    assert column(table, "target", 1) == ["", "≤ 300: MISSED", "≤ 280: met"]
    assert column(table, "Parquet MB") == ["55.0"] * 3
    assert table.markdown().count("\n| ") == 5


def test_a_flat_file_is_judged_by_the_faster_reader(tmp_path: Path) -> None:
    path = tmp_path / "day.csv.gz"
    path.write_bytes(bytes(28_000_000))
    measured = {bars.DUCKDB: runs(2), bars.POLARS: runs(1.6), bars.OURS: runs(2)}
    table = bars.day_table(bars.FlatFileInput(path, 1_499_340), measured)
    assert column(table, "of the faster reader") == ["1.250", "1.000", "1.250"]
    assert column(table, "target") == ["", "", "≤ 1.2: MISSED"]
    assert "1,499,340 bars, 28.0 MB" in table.markdown()


def test_growth_with_the_file_is_judged_against_the_day_itself_on_the_same_path() -> None:
    sources = {1: an_input(100), 2: an_input(200), 4: an_input(400)}
    measured = {
        "default settings, 1 x": runs(1, peak_mib=400),
        "default settings, 2 x": runs(2.1, peak_mib=440),
        "default settings, 4 x": runs(4.5, peak_mib=480),
        "bounded memory, 1 x": runs(2, peak_mib=200),
        "bounded memory, 2 x": runs(3.8, peak_mib=200),
        "bounded memory, 4 x": runs(8, peak_mib=229),
    }
    table = file.table(sources, measured)
    assert column(table, "growth") == ["", "+5.0 %", "+12.5 %", "", "-5.0 %", "+0.0 %"]
    assert column(table, "target") == ["", "≤ 10: met", "≤ 10: MISSED", "", "≤ 10: met", "≤ 10: met"]
    assert column(table, "target", 1) == ["", "≤ 15: met", "≤ 15: MISSED", "", "≤ 15: met", "≤ 15: met"]
    assert column(table, "ms/MB") == ["10.00", "10.50", "11.25", "20.00", "19.00", "20.00"]
    assert table.markdown().count("\n| ") == 8


def test_growth_with_the_lake_is_judged_against_an_empty_one() -> None:
    measured = {
        lake.EMPTY: runs(2),
        lake.FULL: runs(2.2),
        lake.REPLACING: runs(2.6),
    }
    table = lake.table(140_400_000, 60, 3_800_000_000, measured)
    assert column(table, "target") == ["", "≤ 1.15: met", "≤ 1.25: MISSED"]
    assert "60 partitions, 140.4 million strike rows and 3.8 GB" in table.markdown()


def test_the_pipeline_is_judged_against_the_bare_import() -> None:
    table = pipeline.table({pipeline.BARE: runs(2), pipeline.PIPELINE: runs(3)})
    assert column(table, "of the bare import") == ["1.000", "1.500"]
    assert column(table, "target") == ["", "≤ 1.15: MISSED"]


def test_queries_stand_in_milliseconds_with_the_ratio_to_the_seed_layout() -> None:
    count = len(queries.QUESTIONS)
    table = queries.table(
        {
            queries.SEED: [[0.004, 0.002, 0.003]] * count,
            queries.OURS: [[0.006, 0.001, 0.0015]] * count,
        }
    )
    assert column(table, "seed layout, ms") == ["3.0"] * count
    assert column(table, "gexlake, ms") == ["1.5"] * count
    assert column(table, "ratio") == ["0.50"] * count
