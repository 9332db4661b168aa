"""For every valid file of state or orderflow, the lake holds what the oracle reads from it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.importer.reader import arrow_stream
from shared.gexbot.partition import Partition
from tests.support.examples import examples
from tests.support.files.oracle_orderflow import NAMES, orderflow
from tests.support.files.oracle_state import Row, readable, state_contracts, state_greeks
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON, a_job

OPEN_S: Final = 1763130600

numbers: Final = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(-1e15, 1e15),
    st.sampled_from([0, -0.0, 1e-9, -1e-9, 1e15, 0.1, 25000.25]),
)
figures: Final = st.none() | numbers
integers: Final = st.none() | st.integers(-(2**31), 2**31 - 1) | st.sampled_from([5.0, 0.0, -0.0])
priors: Final = st.none() | st.lists(figures, max_size=4)
full_contracts: Final = st.tuples(numbers, figures, figures, figures, priors, figures, priors).map(list)
contracts: Final = st.builds(lambda row, parts: row[:parts], full_contracts, st.integers(4, 7))
unknown: Final = st.dictionaries(
    st.sampled_from(["mini_contract", "strikes", 'a "name"', "tïmestamp", "zcvr ", "mini_contracts[0]"]),
    st.none() | st.booleans() | st.text(max_size=5) | st.just([["{", 1], [None]]) | st.just({"spot": "[{,"}),
    max_size=2,
)
seconds: Final = st.integers(0, 5) | st.sampled_from([0.25, 0.0005, 1.4999, 3.9995]) | st.floats(0, 20000)


def records(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return good records, with some of the fields."""
    key = {
        "timestamp": seconds.map(lambda second: OPEN_S + second),
        "ticker": st.sampled_from(["NQ_NDX", "nq_ndx", "Nq_NDX"]),
        "spot": numbers,
    }
    known = st.fixed_dictionaries(key, optional=fields)
    # What is known comes last, in an order of its own, so that no unknown field takes its place.
    merged = st.builds(lambda odd, good: {**odd, **good}, unknown, known)
    return merged.flatmap(lambda record: st.permutations(list(record.items())).map(dict))


@dataclass(frozen=True)
class Case:
    """An endpoint, its records, and what its tables hold of a file; the last table is the Parquet file's."""

    endpoint: str
    records: st.SearchStrategy[dict[str, Any]]
    tables: dict[str, Callable[[bytes], list[Row]]]


GREEKS: Final = Case(
    "state_vanna_zero",
    records(
        {
            **dict.fromkeys(("min_dte", "sec_min_dte"), integers),
            **dict.fromkeys(("major_positive", "major_negative", "major_long_gamma"), figures),
            "mini_contracts": st.none() | st.lists(contracts, max_size=4),
        }
    ),
    {
        "state_greeks": lambda data: state_greeks(data, "state_vanna_zero"),
        "state_contracts": lambda data: state_contracts(data, "state_vanna_zero"),
    },
)
FLOW: Final = Case(
    "orderflow",
    records({name: integers if name.endswith("_dte") else figures for name in NAMES}),
    {"orderflow": orderflow},
)


@dataclass(frozen=True)
class File:
    """A file: its text, how it is packed, and the sizes in which it is read and cut."""

    plain: bytes
    packed: bool
    block_bytes: int


@st.composite
def files(draw: Callable[[Any], Any], of: st.SearchStrategy[dict[str, Any]]) -> File:
    """Return a file of good records in one of the forms that files have."""
    found = draw(st.lists(of, min_size=1, max_size=6))
    form = draw(st.sampled_from(["array", "pretty", "lines", "blank lines"]))
    if "lines" in form:
        text = ("\n \r\n" if "blank" in form else "\n").join(json.dumps(record) for record in found)
    else:
        text = json.dumps(found, indent=1 if form == "pretty" else None, ensure_ascii=draw(st.booleans()))
    mark = draw(st.sampled_from(["", "\ufeff"]))
    block_bytes = draw(st.sampled_from([1, 64, 300, 1 << 20]))
    return File((mark + text).encode(), draw(st.booleans()), block_bytes)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path_factory.mktemp("properties"), min_snapshot_share=0)
    yield lake
    lake.close()


_NUMBERED: Final = count()


def assert_the_oracle_is_right(lake: LakeOnDisk, case: Case, file: File) -> None:
    """Import a file over what is there, and compare tables and Parquet with the oracle."""
    name = f"{next(_NUMBERED)}.json{'.gz' if file.packed else ''}"
    job = a_job(endpoint=case.endpoint, base_url=f"https://hist.gex.bot/{name}", requested_at=NOON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_stream, "BLOCK_BYTES", file.block_bytes)
        lake.import_staged(lake.stage(gzip.compress(file.plain) if file.packed else file.plain, job))
    for table, expected in case.tables.items():
        with lake.lake.reading() as connection:
            result = connection.execute(f"FROM {table}")
            columns = [column[0] for column in result.description or ()]
            held = [readable(dict(zip(columns, row, strict=True))) for row in result.fetchall()]
        marks = {"source", "job_id"}
        assert [{name: row[name] for name in row if name not in marks} for row in held] == expected(
            file.plain
        )
    *_, of_parquet = case.tables.values()
    assert job.trading_day is not None
    path = lake.lake.paths.parquet(Partition("NQ_NDX", case.endpoint, job.trading_day))
    assert [readable(row) for row in pq.ParquetFile(path).read().to_pylist()] == of_parquet(file.plain)


few = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(file=files(GREEKS.records))
def test_any_good_file_of_a_greek_lands_value_by_value(lake: LakeOnDisk, file: File) -> None:
    assert_the_oracle_is_right(lake, GREEKS, file)


@few
@given(file=files(FLOW.records))
def test_any_good_file_of_orderflow_lands_value_by_value(lake: LakeOnDisk, file: File) -> None:
    assert_the_oracle_is_right(lake, FLOW, file)
