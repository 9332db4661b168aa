"""Whatever a file says, the lake holds exactly that, or says why not; on either path the same.

``HYPOTHESIS_PROFILE=fuzz`` runs ten thousand examples, other ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from tests.support.history_files import HistoryFile, good_files
from tests.support.history_oracle import Expected
from tests.support.import_trials import Trials
from tests.support.spoilt_files import damaged_files, files_with_a_spoilt_record

_PROFILES = {
    "quick": settings(max_examples=100, derandomize=True, database=None, deadline=None),
    "fuzz": settings(max_examples=3400, deadline=None, print_blob=True),
}
as_profiled = _PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "quick")]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    trials = Trials(tmp_path_factory.mktemp("lakes"))
    yield trials
    trials.close()


@as_profiled
@given(file=good_files())
def test_a_good_file_lands_value_for_value(trials: Trials, file: HistoryFile) -> None:
    assert isinstance(trials.verdict(file), Expected)


@as_profiled
@given(file=files_with_a_spoilt_record())
def test_a_record_that_breaks_a_rule_is_named_and_nothing_changes(trials: Trials, file: HistoryFile) -> None:
    trials.verdict(file)


@as_profiled
@given(file=damaged_files())
def test_a_damaged_file_is_refused_or_read_as_it_stands(trials: Trials, file: HistoryFile) -> None:
    trials.verdict(file)
