"""For every file, the lake holds exactly its content, or the error says why not; the same with each profile.

``HYPOTHESIS_PROFILE=fuzz`` runs ten thousand examples, other ones each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from tests.support.examples import PROFILE, examples
from tests.support.files.corrupt_files import damaged_files, files_with_a_spoilt_record
from tests.support.files.history_files import HistoryFile, good_files
from tests.support.files.history_oracle import MAX_RECORD_BYTES, Expected
from tests.support.importer.import_trials import Trials
from tests.support.importer.lake import a_record

as_profiled = (
    settings(max_examples=3400, deadline=None, print_blob=True)
    if PROFILE == "fuzz"
    else settings(max_examples=examples(100), derandomize=True, database=None, deadline=None)
)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    trials = Trials(tmp_path_factory.mktemp("lakes"))
    yield trials
    trials.close()


@pytest.mark.slow
@as_profiled
@given(file=good_files())
def test_a_good_file_lands_value_for_value(trials: Trials, file: HistoryFile) -> None:
    assert isinstance(trials.verdict(file), Expected)


@as_profiled
@given(file=files_with_a_spoilt_record())
def test_a_record_that_breaks_a_rule_is_named_and_nothing_changes(trials: Trials, file: HistoryFile) -> None:
    trials.verdict(file)


@pytest.mark.slow
@as_profiled
@given(file=damaged_files())
def test_a_damaged_file_is_refused_or_read_as_it_stands(trials: Trials, file: HistoryFile) -> None:
    trials.verdict(file)


@pytest.mark.parametrize(
    ("size_bytes", "lands"), [(MAX_RECORD_BYTES, True), (MAX_RECORD_BYTES + (2 << 20), False)]
)
def test_a_record_far_over_16_mib_is_refused_by_its_number(
    trials: Trials, size_bytes: int, lands: bool
) -> None:
    padding = size_bytes - len(json.dumps(a_record(1, note="")))
    document = [a_record(), a_record(1, note="x" * padding), a_record(2)]
    verdict = trials.verdict(HistoryFile(json.dumps(document).encode()))
    assert isinstance(verdict, Expected) is lands


RECORD = '{"timestamp":1763130600,"ticker":"NQ_NDX","spot":5,%s}'


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(
            ['"strikes":[[1,2,3,["5"]]],"x":{"strikes":[[1,2]]}'], id="a nested array for the bad one"
        ),
        pytest.param(['"strikes":[[1,2]],"max_priors":[{"strikes":[[1,2]]}]'], id="nested in max_priors"),
        pytest.param(['"max_priors":[{"strikes":[[1,2]]}]'], id="nested in max_priors only"),
        pytest.param(['"strikes":[[1,2]]', '"strikes":[[1]]'], id="a bad strike in a duplicate"),
    ],
)
def test_strikes_that_hide_behind_others_are_read(trials: Trials, records: list[str]) -> None:
    text = ",".join(RECORD % each for each in records)
    trials.verdict(HistoryFile(f"[{text}]".encode()))
