"""Import a file with each memory profile, and compare the outcome with the oracle's verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from services.importer.errors import BadRecord, NoRecords, UnreadableFile
from services.importer.imports.replace import replace_partition
from services.importer.imports.task import ImportTask
from services.importer.interruption import Interruption
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import quoted
from services.importer.reader import arrow_stream
from services.importer.reader.source import OpenFile
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms
from tests.support.files.history_files import TICKER, HistoryFile
from tests.support.files.history_json import Refused
from tests.support.files.history_oracle import INTEGERS, NUMBERS, Expected, Unspecified, expected_of
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON

PROFILES: Final = ("fast", "bounded")
_SNAPSHOT: Final = ", ".join(("timestamp", "spot_price", *NUMBERS, *INTEGERS, "max_priors"))
_STRIKE: Final = "timestamp, strike, gamma, oi_gamma, priors"
_CONTENTS: Final = ("gex_snapshots", "gex_strikes", "Parquet")
_ENDPOINT: Final = "gex_zero"
Outcome = PartitionRow | BadRecord | UnreadableFile
Verdict = Expected | Refused | Unspecified
Holdings = dict[date, tuple[list[Any], list[Any], list[Any], tuple[Any, ...]]]


class Trials:
    """A lake for each path, which every file is imported into, over what the one before has left.

    Args:
        folder: where the lakes are made.
    """

    def __init__(self, folder: Path) -> None:
        self._lakes = {
            profile: LakeOnDisk(folder / profile, memory_profile=profile, import_threads=2)
            for profile in PROFILES
        }
        for lake in self._lakes.values():
            _import(lake, HistoryFile(json.dumps(records(3)).encode()))
        self._held = {path: _everything(lake) for path, lake in self._lakes.items()}

    def close(self) -> None:
        """Close the lakes."""
        for lake in self._lakes.values():
            lake.close()

    def verdict(self, file: HistoryFile, paths: Sequence[str] = PROFILES) -> Verdict:
        """Import a file with some profiles and return the verdict of the oracle.

        Raises:
            AssertionError: the lake does not hold what it should.
        """
        verdict = expected_of(file.data, ticker=TICKER, day=file.day, max_out_of_day=file.max_out_of_day)
        for path in paths:
            lake = self._lakes[path]
            outcome = _import(lake, file)
            before, self._held[path] = self._held[path], _everything(lake)
            _judge(verdict, outcome, before, self._held[path], path)
            assert not lake.leftovers(), path
            assert not list(lake.lake.paths.scratch.glob("import-*")), path
        return verdict


def _import(lake: LakeOnDisk, file: HistoryFile) -> Outcome:
    source = _staged(lake, file)
    before, arrow_stream.BLOCK_BYTES = arrow_stream.BLOCK_BYTES, file.block_bytes
    try:
        return replace_partition(lake.lake, source, clock=lambda: NOON, notes=_NoLedger())
    except (BadRecord, UnreadableFile) as refusal:
        return refusal
    finally:
        arrow_stream.BLOCK_BYTES = before


class _NoLedger:
    """Writes no ledger: these imports have no job."""

    def committed(self, *_: object) -> None:
        """Do nothing."""

    def completed(self, *_: object) -> None:
        """Do nothing."""


def _staged(lake: LakeOnDisk, file: HistoryFile) -> ImportTask:
    path = lake.lake.paths.staged(TICKER, _ENDPOINT, "history.json.gz" if file.packed else "history.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    return ImportTask(
        file=OpenFile(path.name, path),
        endpoint=_ENDPOINT,
        ticker=TICKER,
        day=file.day,
        job_id="trial",
        generation=1,
        sha256=hashlib.sha256(file.data).hexdigest(),
        size_bytes=len(file.data),
        min_share=0.0,
        max_out_of_day=file.max_out_of_day,
        interruption=Interruption(),
    )


def _judge(verdict: Verdict, outcome: Outcome, before: Holdings, after: Holdings, path: str) -> None:
    if isinstance(verdict, Expected):
        assert isinstance(outcome, PartitionRow), f"{path}: refused, but good: {outcome}"
        assert _counts(outcome) == _counts_of(verdict), (
            f"{path}: {_counts(outcome)}, but {_counts_of(verdict)}"
        )
        expected = (verdict.snapshots, verdict.strike_rows, verdict.strike_rows)
        for what, found, rows in zip(_CONTENTS, after[outcome.trading_day], expected, strict=False):
            differing = [pair for pair in zip_longest(found, rows) if pair[0] != pair[1]]
            assert not differing, f"{path}: {what}: {differing[0][0]}, but {differing[0][1]}"
    elif isinstance(verdict, Refused):
        kind, number, field = _kind(outcome)
        assert verdict.allows(kind, number, field), f"{path}: {outcome}, but {verdict}"
    if not isinstance(outcome, PartitionRow):
        assert after == before, f"{path}: refused, but something changed"


def _kind(outcome: Outcome) -> tuple[str, int | None, str | None]:
    if isinstance(outcome, PartitionRow):
        return "imported", None, None
    if isinstance(outcome, BadRecord):
        return "record", outcome.number, outcome.field
    return "empty" if isinstance(outcome, NoRecords) else "file", None, None


def _counts(row: PartitionRow) -> dict[str, Any]:
    return {
        "day": row.trading_day,
        "snapshots": row.snapshots,
        "strike_rows": row.strike_rows,
        "duplicates": row.duplicates,
        "out_of_day": row.strays,
        "unknown_records": row.unknown_records,
        "unknown_fields": row.unknown_fields or "",
        "times": (row.first_timestamp, row.last_timestamp),
    }


def _counts_of(verdict: Expected) -> dict[str, Any]:
    return {
        "day": verdict.day,
        "snapshots": len(verdict.snapshots),
        "strike_rows": len(verdict.strike_rows),
        "duplicates": verdict.duplicates,
        "out_of_day": verdict.out_of_day,
        "unknown_records": verdict.unknown_records,
        "unknown_fields": ", ".join(sorted(verdict.unknown_names)),
        "times": (verdict.snapshots[0][0], verdict.snapshots[-1][0]),
    }


def _everything(lake: LakeOnDisk) -> Holdings:
    """Return what every partition holds: in both tables and in Parquet, each in its order, and its row."""
    return {row[2]: (*_contents(lake, Partition(*row[:3])), row) for row in lake.rows("FROM partitions")}


def _contents(lake: LakeOnDisk, partition: Partition) -> tuple[list[Any], list[Any], list[Any]]:
    start, end = bounds_ms(partition.trading_day)
    where = (
        f"WHERE timestamp >= {start} AND timestamp < {end} AND ticker = {quoted(partition.ticker)} "
        f"AND endpoint = {quoted(partition.endpoint)}"
    )
    file = quoted(str(lake.lake.paths.parquet(partition)))
    return (
        _read(lake.rows(f"SELECT {_SNAPSHOT} FROM gex_snapshots {where} ORDER BY rowid")),
        _read(lake.rows(f"SELECT {_STRIKE} FROM gex_strikes {where} ORDER BY rowid")),
        _read(lake.rows(f"SELECT {_STRIKE} FROM read_parquet({file}) {where} ORDER BY file_row_number")),
    )


def _read(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows with their last column, JSON, read."""
    return [(*row[:-1], None if row[-1] is None else json.loads(row[-1], parse_int=float)) for row in rows]
