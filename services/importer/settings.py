"""Settings of the importer."""

from __future__ import annotations

from pydantic import Field

from services.importer.imports.memory_profile import ImportPath, container_memory_mb, memory_for
from services.importer.rules import ImportLimits
from shared.process.settings import Settings, aliases


class ImporterSettings(Settings):
    """What the importer needs to know beside the settings of every service."""

    import_path: ImportPath = ImportPath.AUTO
    """How files are read: ``fast``, ``bounded`` (little memory), or ``auto``, as file and machine suggest."""
    memory_limit_mb: int | None = Field(None, ge=96)
    """What DuckDB may use; beyond it, it spills to ``<data>/.scratch``. By default 384, or half of what the
    container has, or 160 if ``import_path`` is ``bounded``."""
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
    max_stray_records: int = Field(0, ge=0)
    """So many records outside the trading day are dropped instead of refused."""
    sql_max_rows: int = Field(10_000, ge=1)
    """Upper bound of the rows that one query answers."""
    sql_timeout_s: float = Field(30.0, gt=0)
    """Upper bound of the time that one query may take."""

    @property
    def duckdb_memory_mb(self) -> int:
        """What DuckDB may use, in MiB."""
        return memory_for(self.import_path, self.memory_limit_mb, container_memory_mb())

    @property
    def rules(self) -> ImportLimits:
        """What an import is held to."""
        return ImportLimits(self.min_snapshot_share, self.max_stray_records)
