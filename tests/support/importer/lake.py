"""A lake in a folder, with staged files, for tests without a broker."""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from services.importer.imports.handler import import_staged
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.settings import ImporterSettings
from shared.bus.messages import ImportFile, Job, JobSkipped, PartitionImported
from tests.support.values import NOON, a_job

Rows = list[tuple[Any, ...]]


class LakeOnDisk:
    """Stages files and imports them as the importer does."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = ImporterSettings(data_dir=folder, **settings)
        if not folder.exists() or not any(folder.iterdir()):
            folder.mkdir(parents=True, exist_ok=True)
            self.settings.paths.database.write_bytes(_empty_database())
        self.lake = Lake.open(self.settings)

    def close(self) -> None:
        self.lake.close()

    def reopen(self) -> None:
        self.lake.close()
        self.lake = Lake.open(self.settings)

    def stage(self, content: bytes | str | list[Any], job: Job | None = None, **changes: Any) -> ImportFile:
        """Write a staged file and return the command to import it."""
        job = job or a_job()
        data = json.dumps(content) if isinstance(content, list) else content
        data = data.encode() if isinstance(data, str) else data
        name = job.base_url.rpartition("/")[2]
        path = self.lake.paths.staged(job.ticker, job.endpoint, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        values: dict[str, Any] = {
            "job": job,
            "staged_path": self.lake.paths.relative_to_staging(path),
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "modified_ns": path.stat().st_mtime_ns,
            **changes,
        }
        return ImportFile(**values)

    def import_staged(self, command: ImportFile) -> PartitionImported | JobSkipped:
        return import_staged(
            command, self.lake, Interruption(), clock=lambda: NOON, limits=self.settings.limits
        )

    def rows(self, query: str) -> Rows:
        with self.lake.reading() as connection:
            return connection.execute(query).fetchall()

    def differences(self) -> int:
        """Count the rows in which Parquet and the table differ."""
        return int(
            self.rows(
                "SELECT count(*) FROM ((FROM gex_strikes EXCEPT ALL FROM parquet_gex_strikes) "
                "UNION ALL (FROM parquet_gex_strikes EXCEPT ALL FROM gex_strikes))"
            )[0][0]
        )

    def leftovers(self) -> list[Path]:
        """Return the hidden files of the lake."""
        return [path for path in self.settings.paths.parquet_root.rglob(".*") if path.is_file()]


@cache
def _empty_database() -> bytes:
    """Return a database of the current schema: a copy of it is ready sooner than one that is migrated."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ImporterSettings(data_dir=Path(folder))
        Lake.open(settings).close()
        return settings.paths.database.read_bytes()


def a_record(second: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the ``second``-th record of 2025-11-14, from the open at 09:30 New York."""
    return {
        "timestamp": 1763130600 + second,
        "ticker": "NQ_NDX",
        "min_dte": 0,
        "sec_min_dte": 1,
        "spot": 25000.25 + second,
        "zero_gamma": 24950.5,
        "major_pos_vol": 25100,
        "major_pos_oi": 25200,
        "major_neg_vol": 24900,
        "major_neg_oi": 24800,
        "strikes": [[25000, -228.01, -86.9, [-240.55, -243.15, 0, -221.27, -220.12]], [25010, 5, 14.27, [0]]],
        "sum_gex_vol": -223.01,
        "sum_gex_oi": -72.63,
        "delta_risk_reversal": 0.118,
        "max_priors": [[25000, 1.5]] * 6,
        **changes,
    }


def records(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return the first ``count`` records of the day."""
    return [a_record(second, **changes) for second in range(count)]
