"""The table ``flat_files``: which file each trading day was imported from, and for which symbols."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, datetime
from typing import Any, Final

import duckdb

from services.importer.lake.partitions import PartitionRow
from shared.bus.messages import Job, JobSkipped, PartitionImported
from shared.massive.resources import BARS_ENDPOINT, WHOLE_MARKET


@dataclass(frozen=True)
class FlatFileRow:
    """One row, its fields named and ordered as the table's columns.

    Counts are of the symbols that the file was imported for.
    """

    trading_day: date
    job_id: str
    generation: int
    checksum: str
    replaced_checksum: str | None
    source_bytes: int
    symbols: tuple[str, ...] | None
    """None for all that the file has."""
    bars: int
    symbols_with_bars: int
    rejected: int
    duplicates: int
    reasons: tuple[str, ...]
    parquet_path: str
    parquet_bytes: int
    parquet_checksum: str
    published: bool
    """Whether the Parquet file has been renamed into place since the rows were committed."""
    updated_at: datetime

    @property
    def counts(self) -> dict[str, int]:
        """What was imported, as events have it."""
        return {"bars": self.bars, "symbols": self.symbols_with_bars, "rejected": self.rejected}

    @property
    def counts_text(self) -> str:
        """The counts as the ledger has them."""
        return json.dumps(self.counts)

    @property
    def as_partition(self) -> PartitionRow:
        """What the ledger takes from it."""
        return PartitionRow(
            ticker=WHOLE_MARKET,
            endpoint=BARS_ENDPOINT,
            trading_day=self.trading_day,
            job_id=self.job_id,
            generation=self.generation,
            checksum=self.checksum,
            replaced_checksum=self.replaced_checksum,
            source_bytes=self.source_bytes,
            snapshots=self.bars,
            strike_rows=0,
            duplicates=self.duplicates,
            strays=0,
            unknown_records=0,
            unknown_fields=None,
            first_timestamp=0,
            last_timestamp=0,
            parquet_path=self.parquet_path,
            parquet_bytes=self.parquet_bytes,
            parquet_checksum=self.parquet_checksum,
            published=self.published,
            updated_at=self.updated_at,
        )


_COLUMNS: Final = ", ".join(field.name for field in fields(FlatFileRow))
_PLACES: Final = ", ".join("?" for _ in fields(FlatFileRow))


def read(connection: duckdb.DuckDBPyConnection, day: date) -> FlatFileRow | None:
    """Return the row of a trading day, or None."""
    return next(iter(_select(connection, "WHERE trading_day = ?", [day])), None)


def unpublished(connection: duckdb.DuckDBPyConnection) -> list[FlatFileRow]:
    """Return the days whose rows are committed and whose Parquet file may be the old one."""
    return _select(connection, "WHERE NOT published", [])


def write(connection: duckdb.DuckDBPyConnection, row: FlatFileRow) -> None:
    """Write a row in place of that of the same day; call it within a transaction."""
    connection.execute("DELETE FROM flat_files WHERE trading_day = ?", [row.trading_day])
    values = [list(value) if isinstance(value, tuple) else value for value in astuple(row)]
    connection.execute(f"INSERT INTO flat_files ({_COLUMNS}) VALUES ({_PLACES})", values)  # noqa: S608 (names)


def imported(job: Job, row: FlatFileRow) -> PartitionImported:
    """Return the event that a flat file was imported."""
    return PartitionImported(
        job=job,
        trading_day=row.trading_day,
        sha256=row.checksum,
        parquet_path=row.parquet_path,
        parquet_bytes=row.parquet_bytes,
        parquet_sha256=row.parquet_checksum,
        replaced_sha256=row.replaced_checksum,
        counts=row.counts,
    )


def skipped(job: Job, row: FlatFileRow) -> JobSkipped:
    """Return the event that the lake has the job's file already."""
    return JobSkipped(
        job=job,
        own_import=row.job_id == str(job.job_id),
        trading_day=row.trading_day,
        sha256=row.checksum,
        parquet_path=row.parquet_path,
        parquet_bytes=row.parquet_bytes,
        counts=row.counts,
    )


def _select(connection: duckdb.DuckDBPyConnection, where: str, values: list[Any]) -> list[FlatFileRow]:
    found = connection.execute(f"SELECT {_COLUMNS} FROM flat_files {where}", values).fetchall()  # noqa: S608
    rows = (FlatFileRow(*row) for row in found)
    return [
        replace(row, symbols=None if row.symbols is None else tuple(row.symbols), reasons=tuple(row.reasons))
        for row in rows
    ]
