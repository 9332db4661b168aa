"""The key-value metadata in the footer of a Parquet file of the lake.

Nothing in it depends on the clock: the same source, written again in the same way, gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from gexlake import __version__
from services.importer.lake.live.partitions import NONE_LIVE, LiveCounts
from services.importer.lake.live.stored_batch import ChainFile, LiveHour
from services.importer.lake.statements import quoted
from shared.gexbot.partition import Partition

SCHEMA_VERSION: Final = 1
"""Grows when a column of a Parquet file is renamed or removed, or gets another type or meaning."""
LIVE_JOB: Final = "live"
"""Stands for the job of a file with live rows only."""
_VERSIONS: Final = {"gexlake.schema_version": str(SCHEMA_VERSION), "gexlake.version": __version__}
_AT_ONCE: Final = 500


def metadata_of(
    partition: Partition, job_id: str, source_sha256: str, live: LiveCounts = NONE_LIVE
) -> dict[str, str]:
    """Return the metadata of a partition's Parquet file.

    Args:
        partition: whose rows the file has.
        job_id: the job that imported them; ``LIVE_JOB`` if all of them are live.
        source_sha256: the checksum of the staged file that they came from.
        live: how many of them are live.
    """
    counts = {"gexlake.live_snapshots": live.snapshots, "gexlake.live_strike_rows": live.strike_rows}
    return {
        **_VERSIONS,
        "gexlake.ticker": partition.ticker,
        "gexlake.endpoint": partition.endpoint,
        "gexlake.trading_day": partition.trading_day.isoformat(),
        "gexlake.job_id": job_id,
        "gexlake.source_sha256": source_sha256,
        **{name: str(count) for name, count in counts.items() if live != NONE_LIVE},
    }


def metadata_of_hour(hour: LiveHour) -> dict[str, str]:
    """Return the metadata of the Parquet file of an hour of webhooks."""
    return {
        **_VERSIONS,
        "gexlake.table": hour.table,
        "gexlake.hour": hour.hour.isoformat(),
        "gexlake.job_id": LIVE_JOB,
        "gexlake.source_sha256": "",
    }


def metadata_of_chains(chains: ChainFile, last: int) -> dict[str, str]:
    """Return the metadata of a Parquet file of option chains.

    Args:
        chains: whose rows the file has.
        last: the number of the last batch that changed them.
    """
    return {
        **_VERSIONS,
        "gexlake.market_symbol": chains.symbol,
        "gexlake.snapshot_date": chains.day.isoformat(),
        "gexlake.job_id": LIVE_JOB,
        "gexlake.source_sha256": "",
        "gexlake.last_batch": str(last),
    }


@dataclass(frozen=True)
class Footer:
    """What the footer of a Parquet file records about its content."""

    job_id: str
    source_sha256: str
    """The checksum of the staged file that the rows came from."""
    rows: int
    live: LiveCounts = NONE_LIVE
    """How many of the partition's rows were live."""
    last_batch: int = 0
    """The number of the last batch that changed the option chains of the file."""


def read_footer(connection: duckdb.DuckDBPyConnection, path: Path) -> Footer | None:
    """Return the footer of a Parquet file of the lake; None if there is no such file, or it is damaged."""
    return read_footers(connection, [path])[path]


def read_footers(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> dict[Path, Footer | None]:
    """Return the footers of Parquet files of the lake; None for one that is missing or damaged."""
    found: dict[Path, Footer | None] = dict.fromkeys(paths)
    present = [path for path in paths if path.is_file()]
    for start in range(0, len(present), _AT_ONCE):
        found.update(_footers(connection, present[start : start + _AT_ONCE]))
    return found


def _footers(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> dict[Path, Footer | None]:
    """Read footers together, and if that fails, halves: one damaged file fails the whole query."""
    files = f"[{', '.join(quoted(str(path)) for path in paths)}]"
    try:
        pairs = connection.execute(
            f"SELECT file_name, map_from_entries(list((decode(key), decode(value)))) "  # noqa: S608 (quoted)
            f"FROM parquet_kv_metadata({files}) GROUP BY file_name"
        ).fetchall()
        counts = dict(
            connection.execute(
                f"SELECT file_name, num_rows FROM parquet_file_metadata({files})"  # noqa: S608 (quoted)
            ).fetchall()
        )
    except duckdb.FatalException:
        raise
    except duckdb.Error:
        if len(paths) == 1:
            return {paths[0]: None}
        half = len(paths) // 2
        return _footers(connection, paths[:half]) | _footers(connection, paths[half:])
    return {Path(name): _footer(known, counts[name]) for name, known in pairs}


def _footer(known: dict[str, str], rows: int) -> Footer | None:
    try:
        counts = (int(known.get(f"gexlake.live_{name}", 0)) for name in ("snapshots", "strike_rows"))
        live = LiveCounts(*counts)
        last = int(known.get("gexlake.last_batch", 0))
        return Footer(known["gexlake.job_id"], known["gexlake.source_sha256"], int(rows), live, last)
    except KeyError:
        return None
