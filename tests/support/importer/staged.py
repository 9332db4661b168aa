"""Staged files as the compiled reader sees them, and what opens their streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from services.importer.imports.task import ImportTask
from services.importer.interruption import Interruption
from services.importer.reader import arrow_stream
from services.importer.reader.arrow_stream import StagedTable
from services.importer.reader.source import OpenFile

Read = Callable[..., pa.RecordBatchReader]

HEAD: Final = '"timestamp":1763130600,"ticker":"NQ_NDX","spot":5'
BLOCKS: Final = (1, 2, 3, 7, 64, 1 << 20)


def text_of(*fields: str) -> bytes:
    """Return an array of records, each with some text behind its first fields."""
    return f"[{','.join(f'{{{HEAD}{text}}}' for text in fields)}]".encode()


def source_of(path: Path, endpoint: str = "gex_zero") -> ImportTask:
    return ImportTask(
        file=OpenFile(path.name, path),
        endpoint=endpoint,
        ticker="NQ_NDX",
        day=None,
        job_id="",
        generation=1,
        sha256="",
        size_bytes=0,
        min_share=0.0,
        max_out_of_day=0,
        interruption=Interruption(),
    )


LINE: Final = f"{{{HEAD}}}"
ONE: Final = text_of("")


def reader_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what opens a stream of some content, which it writes to ``path``."""

    def stream(
        content: bytes,
        *,
        rows: bool = False,
        endpoint: str = "gex_zero",
        batch_rows: int = 1000,
        block_bytes: int = 1 << 20,
    ) -> pa.RecordBatchReader:
        path.write_bytes(content)
        monkeypatch.setattr(arrow_stream, "BLOCK_BYTES", block_bytes)
        table = StagedTable(source_of(path, endpoint), path, rows=rows, batch_rows=batch_rows)
        return pa.RecordBatchReader.from_stream(table)

    return stream
