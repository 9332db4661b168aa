"""Settings of the importer."""

from __future__ import annotations

from pydantic import Field

from shared.settings import Settings, aliases


class ImporterSettings(Settings):
    """What the importer needs to know beside the settings of every service."""

    memory_limit_mb: int = Field(1024, ge=128)
    """What DuckDB may use; beyond it, it spills to ``<data>/.scratch``."""
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
    sql_max_rows: int = Field(10_000, ge=1)
    """Upper bound of the rows that one query answers."""
    sql_timeout_s: float = Field(30.0, gt=0)
    """Upper bound of the time that one query may take."""
