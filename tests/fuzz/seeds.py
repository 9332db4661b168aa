"""Files to begin with: the vendor's example, a generated day, and what the Hypothesis strategies write."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings

from simulator.generator import Day
from tests.fuzz.inputs import input_of
from tests.support.files.corrupt_files import damaged_files, files_with_a_spoilt_record
from tests.support.files.history_files import DAY, OPEN_S, TICKER, HistoryFile, good_files
from tests.support.repository import GOLDEN

_EXAMPLE: Final = GOLDEN / "vendor" / "classic_gex_zero_snapshot.json"
_LARGEST: Final = 4096
_of_each: Final = settings(
    max_examples=150,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def write_seeds(folder: Path) -> int:
    """Write the inputs to begin with, each a file, and return how many."""
    files = contents()
    for number, content in enumerate(files):
        (folder / f"seed{number:04d}").write_bytes(input_of(content, number))
    return len(files)


@cache
def contents() -> list[bytes]:
    """Return the files to begin with."""
    return [_example(), _generated(), *_of_strategies()]


def _example() -> bytes:
    """Return the vendor's record as one of this job."""
    record = json.loads(_EXAMPLE.read_text())
    return json.dumps([{**record, "ticker": TICKER, "timestamp": OPEN_S}]).encode()


def _generated() -> bytes:
    return json.dumps(list(Day(TICKER, "gex_zero", DAY, snapshots=3, strikes=2).records())).encode()


def _of_strategies() -> list[bytes]:
    found: list[bytes] = []

    def keep(file: HistoryFile) -> None:
        if not file.packed and len(file.data) <= _LARGEST:
            found.append(file.data)

    for strategy in (good_files(), files_with_a_spoilt_record(), damaged_files()):
        _of_each(given(strategy)(keep))()
    return found
