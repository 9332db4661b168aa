"""Settings of the importer."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from services.importer.limits import MAX_FILE_BYTES, ImportLimits
from services.importer.memory_profile import (
    ImportMemory,
    MemoryProfile,
    container_memory_mb,
    default_query_memory_mb,
    duckdb_memory_mb,
)
from shared.process.settings import Settings, aliases


class FlatFileSymbols(StrEnum):
    """For which symbols a flat file is imported."""

    REGISTERED = "registered"
    ALL = "all"


class ImporterSettings(Settings):
    """The settings of the importer, beside those of every service."""

    memory_profile: MemoryProfile = Field(
        MemoryProfile.AUTO, validation_alias=aliases("GEXLAKE_MEMORY_PROFILE", "GEXLAKE_IMPORT_PATH")
    )
    """The size of batches: ``fast`` (large), ``bounded`` (small, with little memory), or ``auto``, which
    chooses by the file's size, memory and threads."""
    memory_limit_mb: int | None = Field(None, ge=96)
    """DuckDB's memory; beyond it, DuckDB spills to ``<data>/.scratch``. By default 384, or half of the
    container's memory, or 160 if ``memory_profile`` is ``bounded``."""
    import_threads: int = Field(0, ge=0)
    """Threads of DuckDB; 0 is one per processor."""
    import_timeout_s: float = Field(
        900.0,
        gt=0,
        validation_alias=aliases("GEXLAKE_IMPORT_TIMEOUT_S", "GEXLAKE_IMPORT_TIMEOUT", "IMPORT_TIMEOUT"),
    )
    """How long one import may take before it counts as a failed attempt."""
    min_snapshot_share: float = Field(0.9, ge=0, le=1)
    """A file with a smaller share of the snapshots that the partition holds is refused."""
    max_out_of_day_records: int = Field(
        0,
        ge=0,
        validation_alias=aliases("GEXLAKE_MAX_OUT_OF_DAY_RECORDS", "GEXLAKE_MAX_STRAY_RECORDS"),
    )
    """Up to this many records outside the trading day are dropped; a file with more is refused."""
    max_file_bytes: int = Field(MAX_FILE_BYTES, ge=1)
    """A staged file that unpacks to more is refused, as the fetcher refuses it."""
    flat_file_symbols: FlatFileSymbols = FlatFileSymbols.REGISTERED
    """For which symbols a flat file is imported: the ``registered`` ones, or ``all`` that it has."""
    flat_file_max_rejected_share: float = Field(0.01, ge=0, le=1)
    """A flat file with a larger share of rows that are no correct bars is refused."""
    sql_max_rows: int = Field(10_000, ge=1)
    """The maximum number of rows that one query returns."""
    sql_timeout_s: float = Field(30.0, gt=0)
    """The maximum time that one query may take."""
    sql_workers: int = Field(2, ge=1, le=64)
    """How many queries may run at a time, each in a process of its own; quick ones and an export have
    two more."""
    sql_memory_mb: int | None = Field(None, ge=256)
    """Memory of a query's process; by default 384, or less in a small container."""
    sql_threads: int = Field(1, ge=1)
    """Threads of a query."""
    sql_spill_mb: int = Field(1024, ge=1)
    """How much of the disk one query may take for what does not fit in its memory."""
    export_timeout_s: float = Field(600.0, gt=0, le=3600)
    """The maximum time that one export may take; the broker lets the importer respond for an hour."""

    live_export_s: float = Field(60.0, gt=0)
    """How often live rows are exported to Parquet; less often if exports take more than a quarter of it."""
    snapshot_parquet: bool = False
    """Write each snapshot of an option chain to a Parquet file of its own, instead of one for each day."""

    @property
    def memory(self) -> ImportMemory:
        """What imports may use."""
        duckdb_mb = duckdb_memory_mb(self.memory_profile, self.memory_limit_mb, container_memory_mb())
        return ImportMemory(duckdb_mb, self.memory_profile, self.import_threads)

    @property
    def query_memory_mb(self) -> int:
        """Memory of a query's process, in MiB."""
        return self.sql_memory_mb or default_query_memory_mb(self.sql_workers, container_memory_mb())

    @property
    def limits(self) -> ImportLimits:
        """The rules for imports that settings can change."""
        return ImportLimits(
            self.min_snapshot_share,
            self.max_out_of_day_records,
            self.max_file_bytes,
            self.flat_file_max_rejected_share,
        )
