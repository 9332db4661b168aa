"""Days of the packages state and orderflow: every value lands, and what breaks a rule is refused by name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast

import pyarrow.parquet as pq
import pytest

from services.importer.errors import BadRecord, NoRecords, UnreadableFile, WorseData
from services.importer.imports.recovery import finish_committed
from services.importer.reader import arrow_stream
from shared.bus.connection import Bus
from shared.bus.messages import Job, JobSkipped, PartitionImported
from shared.errors import GexlakeError
from shared.gexbot.partition import Partition
from simulator.generator import Day
from simulator.other_packages import GreekDay, OrderflowDay, StateGexDay
from tests.support.files.oracle_orderflow import orderflow
from tests.support.files.oracle_state import (
    Row,
    readable,
    state_contracts,
    state_greeks,
    state_snapshots,
    state_strikes,
)
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.values import NOON, a_job

OPEN_S: Final = 1763130600


@dataclass(frozen=True)
class Package:
    """A format, a day of it, and what its tables must hold of a file; the last one is the Parquet file's."""

    day: Day
    tables: dict[str, Callable[[bytes], list[Row]]]
    kind: str
    history: str

    @property
    def job(self) -> Job:
        return a_job(endpoint=self.day.endpoint, base_url=f"https://hist.gex.bot/{self.day.file_name}")

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(self.day.records())


GEX = Package(
    StateGexDay(snapshots=40, strikes=6),
    {
        "state_snapshots": lambda data: state_snapshots(data, "state_gex_zero"),
        "state_strikes": lambda data: state_strikes(data, "state_gex_zero"),
    },
    "state_strikes",
    "state_history",
)
GREEKS = Package(
    GreekDay(endpoint="state_charm_one", snapshots=40, strikes=6),
    {
        "state_greeks": lambda data: state_greeks(data, "state_charm_one"),
        "state_contracts": lambda data: state_contracts(data, "state_charm_one"),
    },
    "state_contracts",
    "state_greeks_history",
)
FLOW = Package(OrderflowDay(snapshots=40), {"orderflow": orderflow}, "orderflow", "orderflow_history")
PACKAGES: Final = [pytest.param(each, id=each.day.endpoint) for each in (GEX, GREEKS, FLOW)]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path / "lake")
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    """Give refusals one lake: they leave it as it is."""
    lake = LakeOnDisk(tmp_path_factory.mktemp("standing"))
    yield lake
    lake.close()


def table(lake: LakeOnDisk, name: str) -> list[Row]:
    """Return the rows of a table in the order in which they lie there."""
    with lake.lake.reading() as connection:
        result = connection.execute(f"FROM {name}")
        columns = [column[0] for column in result.description or ()]
        return [readable(dict(zip(columns, row, strict=True))) for row in result.fetchall()]


def place(row: Row) -> tuple[int, float]:
    """Return where a row belongs; a view promises no order."""
    return row["timestamp"], row.get("strike", 0)


def parquet(lake: LakeOnDisk, package: Package) -> list[Row]:
    """Return the rows of the Parquet file, read without DuckDB."""
    partition = Partition("NQ_NDX", package.day.endpoint, date(2025, 11, 14))
    path = lake.lake.paths.parquet(partition)
    assert path.name == f"20251114.{package.kind}.parquet"
    return [readable(row) for row in pq.ParquetFile(path).read().to_pylist()]


def assert_holds(lake: LakeOnDisk, package: Package, data: bytes) -> None:
    """Check the tables and the Parquet file value by value, and that nothing is left over."""
    records_table = next(iter(package.tables))
    for name, expected in package.tables.items():
        marks = {"source": "history", "job_id": str(package.job.job_id)} if name == records_table else {}
        assert table(lake, name) == [{**row, **marks} for row in expected(data)], name
    *_, (last_table, last) = package.tables.items()
    assert parquet(lake, package) == last(data)
    assert sorted(table(lake, f"parquet_{last_table}"), key=place) == sorted(last(data), key=place)
    assert lake.leftovers() == []


def written(records: list[Any]) -> bytes:
    return json.dumps(records).encode()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("import_path", ["fast", "bounded"])
def test_a_generated_day_lands_value_by_value(
    package: Package, import_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_stream, "BLOCK_BYTES", 500)
    written = package.day.write(tmp_path / "day.json")
    data = (tmp_path / "day.json").read_bytes()
    with closing(LakeOnDisk(tmp_path / "lake", memory_profile=import_path)) as lake:
        event = lake.import_staged(lake.stage(data, package.job))
        assert isinstance(event, PartitionImported)
        assert (event.snapshots, event.strike_rows) == (written.snapshots, written.strike_rows)
        assert event.parquet_path == f"NQ_NDX/{package.day.endpoint}/20251114.{package.kind}.parquet"
        assert_holds(lake, package, data)
        assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(0,)]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", ["pretty.json", "lines.jsonl", "lines.jsonl.gz", "array.json.gz"])
def test_every_form_of_the_file_gives_the_same_rows(lake: LakeOnDisk, package: Package, name: str) -> None:
    records = package.records
    plain = (
        b"\n".join(json.dumps(record).encode() for record in records)
        if "lines" in name
        else json.dumps(records, indent=2 if name == "pretty.json" else None).encode()
    )
    job = a_job(endpoint=package.day.endpoint, base_url=f"https://hist.gex.bot/{name}")
    lake.import_staged(lake.stage(gzip.compress(plain) if name.endswith(".gz") else plain, job))
    *_, (last, expected) = package.tables.items()
    held = [
        {name: row[name] for name in row if name not in {"source", "job_id"}} for row in table(lake, last)
    ]
    assert held == expected(plain)
    assert parquet(lake, package) == expected(plain)


@pytest.mark.parametrize("package", PACKAGES)
def test_records_out_of_order_and_twice_are_put_in_order_and_the_first_wins(
    lake: LakeOnDisk, package: Package
) -> None:
    first, second, third, *_ = package.records
    data = written([third, {**first, "ticker": "nq_ndx"}, second, {**third, "spot": 1.5}])
    event = lake.import_staged(lake.stage(data, package.job))
    assert isinstance(event, PartitionImported)
    assert event.snapshots == 3
    assert_holds(lake, package, data)
    assert lake.rows("SELECT duplicates FROM partitions") == [(1,)]


@pytest.mark.parametrize("package", PACKAGES)
def test_only_what_a_record_must_have_is_enough(lake: LakeOnDisk, package: Package) -> None:
    data = written([{"timestamp": OPEN_S + 0.25, "ticker": "NQ_NDX", "spot": 5}])
    lake.import_staged(lake.stage(data, package.job))
    assert_holds(lake, package, data)


def test_each_package_has_a_history_by_day_of_its_own(lake: LakeOnDisk) -> None:
    for package in (GEX, GREEKS, FLOW):
        assert table(lake, package.history) == []
        lake.import_staged(lake.stage(written(package.records), package.job))
    for package in (GEX, GREEKS, FLOW):
        *_, rows = package.tables.values()
        expected = [{"trading_day": date(2025, 11, 14), **row} for row in rows(written(package.records))]
        assert sorted(table(lake, package.history), key=place) == expected
    assert table(lake, "gex_history") == []


def test_strike_rows_of_a_partition_are_what_their_comment_says(lake: LakeOnDisk) -> None:
    (found,) = lake.rows(
        "SELECT comment FROM duckdb_columns() WHERE (table_name, column_name) = ('partitions', 'strike_rows')"
    )
    assert found == (
        "Rows in gex_strikes, or the table of the endpoint's strikes or contracts; 0 if it has none",
    )
    for package in (GEX, GREEKS, FLOW):
        lake.import_staged(lake.stage(written(package.records), package.job))
        (found,) = lake.rows(f"SELECT strike_rows FROM partitions WHERE endpoint = '{package.day.endpoint}'")
        of_strikes = list(package.tables)[1:]
        assert found == (sum(len(table(lake, name)) for name in of_strikes),)


def test_contracts_may_be_short_and_have_nulls(lake: LakeOnDisk) -> None:
    rows = [
        [25000, None, None, -12.0],
        [25010.5, 0.1, 0.2, None, [1, None, 2.5]],
        [25020, 1e-9, 0, 1e15, []],
        [25030, 0.1, 0.2, 3, None, 7, [4, 5]],
        [25040, 0.1, 0.2, 3, [], None, None],
    ]
    data = written([{"timestamp": OPEN_S, "ticker": "NQ_NDX", "spot": 25000.5, "mini_contracts": rows}])
    lake.import_staged(lake.stage(data, GREEKS.job))
    assert_holds(lake, GREEKS, data)


def test_orderflow_with_the_scalars_of_the_live_answer_keeps_them_and_tells_of_its_strikes(
    lake: LakeOnDisk,
) -> None:
    data = written([{**FLOW.records[0], **a_record()}])
    lake.import_staged(lake.stage(data, FLOW.job))
    assert_holds(lake, FLOW, data)
    (row,) = lake.rows("SELECT sum_gex_oi, min_dte, delta_risk_reversal FROM orderflow")
    assert row == (-72.63, 0, 0.118)
    assert lake.rows("SELECT unknown_records, unknown_fields FROM partitions") == [(1, "max_priors, strikes")]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_partition_is_replaced_and_those_of_other_packages_stay(lake: LakeOnDisk, package: Package) -> None:
    others = [each for each in (GEX, GREEKS, FLOW) if each is not package]
    for each in others:
        lake.import_staged(lake.stage(written(each.records), each.job))
    classic = a_job()
    lake.import_staged(lake.stage([a_record(second) for second in range(3)], classic))
    lake.import_staged(lake.stage(written(package.records[:30]), package.job))
    whole = written(package.records)
    event = lake.import_staged(lake.stage(whole, package.job.model_copy(update={"generation": 2})))
    assert isinstance(event, PartitionImported)
    assert event.replaced_sha256 is not None
    assert_holds(lake, package, whole)
    for each in others:
        assert_holds(lake, each, written(each.records))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(3,)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_same_file_again_is_skipped_and_a_worse_one_refused(lake: LakeOnDisk, package: Package) -> None:
    lake.import_staged(lake.stage(written(package.records), package.job))
    again = package.job.model_copy(update={"generation": 2})
    assert isinstance(lake.import_staged(lake.stage(written(package.records), again)), JobSkipped)
    worse = package.job.model_copy(update={"generation": 3})
    with pytest.raises(WorseData):
        lake.import_staged(lake.stage(written(package.records[:20]), worse))
    assert_holds(lake, package, written(package.records))


class RecordingBus:
    """A bus that keeps what is announced."""

    def __init__(self) -> None:
        self.events: list[PartitionImported] = []

    def clock(self) -> datetime:
        return NOON

    async def publish_event(self, event: PartitionImported) -> None:
        self.events.append(event)


@pytest.mark.parametrize("package", PACKAGES)
async def test_what_was_committed_only_is_exported_again(lake: LakeOnDisk, package: Package) -> None:
    lake.import_staged(lake.stage(written(package.records), package.job))
    (path,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    path.write_bytes(b"the old file")
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
    await finish_committed(cast("Bus", RecordingBus()), lake.lake)
    assert_holds(lake, package, written(package.records))
    assert lake.rows("SELECT published FROM partitions") == [(True,)]


def refusal(lake: LakeOnDisk, package: Package, content: bytes) -> GexlakeError:
    """Import over a good partition; return the error after checking that the partition stands untouched."""
    good = written(package.records[:3])
    lake.import_staged(lake.stage(good, package.job))
    with pytest.raises(GexlakeError) as caught:
        lake.import_staged(lake.stage(content, package.job.model_copy(update={"generation": 2})))
    assert_holds(lake, package, good)
    return caught.value


COMMON: Final = [
    ({"timestamp": None}, "timestamp", "is null"),
    ({"timestamp": "1763130603"}, "timestamp", "not a number"),
    ({"timestamp": 1763044200}, "timestamp", "outside the trading day 2025-11-14"),
    ({"ticker": "SPX"}, "ticker", "is 'SPX', but the job is for NQ_NDX"),
    ({"spot": None}, "spot", "is null"),
    ({"spot": "25000"}, "spot", "not a number"),
    ({"spot": float("nan")}, "spot", "not a finite number"),
    ({"min_dte": 1.5}, "min_dte", "not a 32-bit integer"),
]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(("changes", "field", "message"), COMMON)
def test_a_bad_record_is_named_in_every_package(
    standing: LakeOnDisk, package: Package, changes: dict[str, Any], field: str, message: str
) -> None:
    good = package.records
    error = refusal(standing, package, written([*good[:2], {**good[2], **changes}, *good[3:5]]))
    assert isinstance(error, BadRecord)
    assert (error.field, "record 3" in str(error)) == (field, True), str(error)
    assert message in str(error)


@pytest.mark.parametrize(
    ("package", "changes", "field", "message"),
    [
        (GEX, {"zero_gamma": "high"}, "zero_gamma", "not a number"),
        (GEX, {"strikes": [[25000, 1, 2, [], 5]]}, "strikes[0]", "has 5 elements, not 2 to 4"),
        (GEX, {"strikes": [[25000, 1], [None, 2]]}, "strikes[1]", "has a strike that is None"),
        (GEX, {"max_priors": 5}, "max_priors", "not an array"),
        (GREEKS, {"major_long_gamma": True}, "major_long_gamma", "not a number"),
        (GREEKS, {"mini_contracts": {}}, "mini_contracts", "not an array"),
        (GREEKS, {"mini_contracts": [5]}, "mini_contracts[0]", "not an array of strike, call_ivol"),
        (GREEKS, {"mini_contracts": [[1, 2, 3]]}, "mini_contracts[0]", "has 3 elements, not 4 to 7"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, 4, [], 5, [], 6]]}, "mini_contracts[0]", "has 8 elements"),
        (GREEKS, {"mini_contracts": [[None, 2, 3, 4]]}, "mini_contracts[0]", "a strike that is None"),
        (GREEKS, {"mini_contracts": [[1, "2", 3, 4]]}, "mini_contracts[0]", "a call_ivol that is '2'"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, [4]]]}, "mini_contracts[0]", "a call_cvolume that is [4]"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, 4, 5]]}, "mini_contracts[0]", "a call_cvolume_priors"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, 4, [[5]]]]}, "mini_contracts[0]", "call_cvolume_priors"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, 4, [5], 6, [True]]]}, "mini_contracts[0]", "_priors that"),
        (GREEKS, {"mini_contracts": [[1, 2, 3, float("inf")]]}, "mini_contracts[0]", "not a finite number"),
        (FLOW, {"one_cvroflow": "x"}, "one_cvroflow", "is 'x', not a number"),
        (FLOW, {"agg_dex": [1]}, "agg_dex", "not a number"),
        (FLOW, {"zcharm": float("-inf")}, "zcharm", "not a finite number"),
        (FLOW, {"net_dex": 10**400}, "net_dex", "not a finite number"),
    ],
)
def test_what_a_package_has_of_its_own_is_named_when_it_is_bad(
    standing: LakeOnDisk, package: Package, changes: dict[str, Any], field: str, message: str
) -> None:
    good = package.records
    error = refusal(standing, package, written([good[0], {**good[1], **changes}, *good[2:5]]))
    assert isinstance(error, BadRecord)
    assert (error.field, "record 2" in str(error)) == (field, True), str(error)
    assert message in str(error)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[]", NoRecords),
        (b"<html>403</html>", UnreadableFile),
        (b'{"error": "expired"}', UnreadableFile),
        (b'[{"timestamp": 1763130600, "ticker": "NQ_NDX", "spot": 1, "spot": 2}]', BadRecord),
        (b'[{"timestamp": 1763130600, "ticker": "NQ_NDX", "spot": 1}', UnreadableFile),
        (b'[{"timestamp": 1763130600, "ticker": "NQ_NDX", "spot": 1}] x', UnreadableFile),
    ],
)
def test_what_is_no_file_of_records_is_refused(
    standing: LakeOnDisk, package: Package, content: bytes, kind: type[GexlakeError]
) -> None:
    error = refusal(standing, package, content)
    assert isinstance(error, kind), error
