"""A flat file into a sorted Parquet file and a table, by one way, as a process of its own.

``python -m bench.workloads.flat_file_once WAY FILE --day DAY --folder DIR`` with the way ``gexlake``,
``duckdb`` or ``polars`` prints how many bars are stored, and the seconds from an open database to a closed
one, as JSON: the importer keeps its own open. All three store the same columns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Final

_TABLE: Final = """
CREATE TABLE ohlcv_1m (symbol VARCHAR, timestamp BIGINT, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE,
    volume DOUBLE, vwap DOUBLE, trades BIGINT, source VARCHAR, adjusted BOOLEAN, received_at TIMESTAMPTZ)
"""
_COLUMNS: Final = """
    ticker AS symbol, window_start // 1000000 AS timestamp, open, high, low, close,
    volume::DOUBLE AS volume, NULL::DOUBLE AS vwap, transactions AS trades, 'flat_file' AS source,
    false AS adjusted, TIMESTAMPTZ '2025-11-15 17:00:00+00' AS received_at
"""


def by_duckdb(file: Path, _: date, folder: Path) -> tuple[int, float]:
    """Read and sort with DuckDB into a table, and copy it to Parquet."""
    import duckdb  # noqa: PLC0415 (each way loads its own libraries)

    connection = duckdb.connect(str(folder / "bars.db"))
    connection.execute(_TABLE)
    began = perf_counter()
    connection.execute(
        f"INSERT INTO ohlcv_1m SELECT {_COLUMNS} FROM read_csv('{file}') ORDER BY symbol, timestamp"  # noqa: S608
    )
    connection.execute(f"COPY ohlcv_1m TO '{folder / 'bars.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    return _closed(connection, began)


def by_polars(file: Path, _: date, folder: Path) -> tuple[int, float]:
    """Read and sort with Polars into Parquet, and load that into a table of DuckDB."""
    import duckdb  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    parquet = folder / "bars.parquet"
    connection = duckdb.connect(str(folder / "bars.db"))
    connection.execute(_TABLE)
    began = perf_counter()
    column, value = pl.col, pl.lit
    pl.read_csv(file).select(
        column("ticker").alias("symbol"),
        (column("window_start") // 1_000_000).alias("timestamp"),
        *("open", "high", "low", "close"),
        column("volume").cast(pl.Float64),
        value(None, dtype=pl.Float64).alias("vwap"),
        column("transactions").alias("trades"),
        value("flat_file").alias("source"),
        value(False).alias("adjusted"),  # noqa: FBT003 (a value)
        value(datetime(2025, 11, 15, 17, tzinfo=UTC)).alias("received_at"),
    ).sort("symbol", "timestamp").write_parquet(parquet, compression="zstd")
    connection.execute(f"INSERT INTO ohlcv_1m FROM read_parquet('{parquet}')")
    return _closed(connection, began)


def by_gexlake(file: Path, day: date, folder: Path) -> tuple[int, float]:
    """Import as the importer does, for all symbols, without a broker."""
    from bench.workloads.import_once import Settings  # noqa: PLC0415
    from gexlake.api.jobs import Priority  # noqa: PLC0415
    from services.importer.flat_files.handler import import_staged  # noqa: PLC0415
    from services.importer.interruption import Interruption  # noqa: PLC0415
    from services.importer.lake.database import Lake  # noqa: PLC0415
    from services.importer.limits import ImportLimits  # noqa: PLC0415
    from shared.bus.messages import ImportFile, Job, job_id_of  # noqa: PLC0415
    from shared.massive.resources import FlatFile, MassiveUrls  # noqa: PLC0415
    from shared.paths import LakePaths  # noqa: PLC0415

    resource, paths, now = FlatFile(day), LakePaths.under(folder), datetime.now(UTC)
    url = MassiveUrls().url_of(resource)
    staged = paths.staged(resource.ticker, resource.endpoint, file.name)
    staged.parent.mkdir(parents=True)
    os.link(file, staged)
    command = ImportFile(
        job=Job(
            job_id=job_id_of(resource.ticker, resource.endpoint, url),
            generation=1,
            ticker=resource.ticker,
            endpoint=resource.endpoint,
            trading_day=day,
            base_url=url,
            priority=Priority.MEDIUM,
            requested_at=now,
        ),
        staged_path=paths.relative_to_staging(staged),
        size_bytes=staged.stat().st_size,
        sha256=hashlib.sha256(staged.read_bytes()).hexdigest(),  # the fetcher computes it as it downloads
        modified_ns=staged.stat().st_mtime_ns,
    )
    lake = Lake.open(Settings(paths))
    began = perf_counter()
    event = import_staged(
        command, lake, Interruption(), symbols=None, clock=lambda: now, limits=ImportLimits()
    )
    lake.close()
    return (event.counts or {})["bars"], perf_counter() - began


def _closed(connection: object, began: float) -> tuple[int, float]:
    import duckdb  # noqa: PLC0415

    assert isinstance(connection, duckdb.DuckDBPyConnection)  # noqa: S101 (for the type)
    row = connection.execute("SELECT count(*) FROM ohlcv_1m").fetchone() or (0,)
    connection.close()
    return int(row[0]), perf_counter() - began


WAYS: Final[dict[str, Callable[[Path, date, Path], tuple[int, float]]]] = {
    "duckdb": by_duckdb,
    "polars": by_polars,
    "gexlake": by_gexlake,
}


def main() -> None:
    """Store the file that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.workloads.flat_file_once", description=main.__doc__
    )
    parser.add_argument("way", choices=tuple(WAYS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--day", type=date.fromisoformat, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    bars, seconds = WAYS[options.way](options.file, options.day, options.folder)
    print(json.dumps({"bars": bars, "seconds": seconds}))


if __name__ == "__main__":
    main()
