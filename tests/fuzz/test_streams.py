"""Files that are nearly right read the same in any blocks, and both readers refuse them, or neither does.

Not collected by itself: ``python -m tests.fuzz.sanitized`` runs it with sanitizers in the reader.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any, Final

import pyarrow as pa
import pytest

from services.importer.imports.task import ImportTask
from services.importer.interruption import Interruption
from services.importer.reader import arrow_stream
from services.importer.reader.arrow_stream import StagedTable
from services.importer.reader.diagnosis import refusal_of
from services.importer.reader.source import OpenFile
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import contents
from tests.support.files.history_files import DAY, TICKER

_EACH: Final = 40
_LARGEST: Final = 4096
_BLOCKS: Final = 6
_LAYOUT: Final = re.compile(
    r"record \d+: expected the (whole record on one line|record on a line of its own)"
)
"""Rules that the slow reader does not check."""
Outcome = str | list[tuple[Any, ...]]


@pytest.mark.parametrize("seed", range(20))
def test_a_nearly_right_file_reads_the_same_in_any_blocks(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = Random(seed), tmp_path / "day.json"
    for content in contents()[seed::20]:
        for _ in range(_EACH):
            change = source.choice((_with_odd_bytes, mutated))
            path.write_bytes(change(content, source, _LARGEST))
            outcomes = []
            for block_bytes in (1 << 20, *(source.randrange(1, 200) for _ in range(_BLOCKS))):
                monkeypatch.setattr(arrow_stream, "BLOCK_BYTES", block_bytes)
                outcomes.append(_outcome(_source_of(path), source.randrange(1, 5)))
            assert all(outcome == outcomes[0] for outcome in outcomes), path.read_bytes()
            _judge(outcomes[0], _source_of(path))


def _with_odd_bytes(content: bytes, source: Random, largest: int) -> bytes:
    at = source.randrange(len(content) + 1)
    odd = source.choice(
        (b"", b"\0", b"\xef", b"\xef\xbb", b"\xed\xa0\x80", b"\\", b'"', bytes([source.randrange(256)]))
    )
    return (content[:at] + odd + content[at + source.randrange(3) :])[:largest]


def _source_of(path: Path) -> ImportTask:
    return ImportTask(
        file=OpenFile(path.name, path),
        endpoint="gex_zero",
        ticker=TICKER,
        day=DAY,
        job_id="",
        generation=1,
        sha256="",
        size_bytes=0,
        min_share=0.0,
        max_out_of_day=1000,
        interruption=Interruption(),
    )


def _outcome(source: ImportTask, batch_rows: int) -> tuple[Outcome, Outcome]:
    records, rows = (
        _read(StagedTable(source, source.file.path, rows=rows, batch_rows=batch_rows))
        for rows in (False, True)
    )
    return records, rows


def _read(table: StagedTable) -> Outcome:
    try:
        found = pa.RecordBatchReader.from_stream(table).read_all()
    except pa.ArrowInvalid as error:
        return str(error)
    found.validate(full=True)
    return [tuple(row.values()) for row in found.to_pylist()]


def _judge(outcome: tuple[Outcome, Outcome], source: ImportTask) -> None:
    """Compare the reader with the slow one."""
    message = next((each for each in outcome if isinstance(each, str)), None)
    if message is not None and not _LAYOUT.match(message):
        error = str(refusal_of(source, source.file.path, message))
        assert message not in error, (message, source.file.path.read_bytes())
