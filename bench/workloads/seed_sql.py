"""The first system's import of one day, as its reference describes it: the baseline of the import.

``python -m bench.workloads.seed_sql FILE DATABASE PARQUET --ticker NQ_NDX --day 2025-11-14`` imports a staged
file, exports it, and prints how many rows were written as JSON. The steps and their order are the
reference's: the file into a staging table with detected types, a delete and an insert of snapshots (their
strikes once more as JSON text), the same of unnested strikes, ``COPY`` of the day's rows to zstd Parquet, and
the staging table dropped; each with a connection of its own, so that the file is not locked in between.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

_STAGING: Final = "staging_raw"
_OF_THE_DAY: Final = "ticker = $ticker AND CAST(to_timestamp(timestamp / 1000) AS DATE) = $day"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS gex_snapshots (
    timestamp BIGINT, ticker VARCHAR, spot_price DOUBLE, zero_gamma DOUBLE, net_gex DOUBLE,
    min_dte INTEGER, sec_min_dte INTEGER, major_pos_vol DOUBLE, major_pos_oi DOUBLE, major_neg_vol DOUBLE,
    major_neg_oi DOUBLE, sum_gex_vol DOUBLE, sum_gex_oi DOUBLE, delta_risk_reversal DOUBLE,
    max_priors VARCHAR, strikes VARCHAR);
CREATE TABLE IF NOT EXISTS gex_strikes (
    timestamp BIGINT, ticker VARCHAR, strike DOUBLE, gamma DOUBLE, oi_gamma DOUBLE, priors VARCHAR)"""

_READ: Final = f"CREATE TABLE {_STAGING} AS SELECT * FROM read_json_auto($source)"  # noqa: S608 (constant)

_SNAPSHOTS: Final = f"""
INSERT INTO gex_snapshots
SELECT CAST(timestamp * 1000 AS BIGINT), upper(ticker), spot, zero_gamma, NULL, min_dte, sec_min_dte,
    major_pos_vol, major_pos_oi, major_neg_vol, major_neg_oi, sum_gex_vol, sum_gex_oi, delta_risk_reversal,
    CAST(to_json(max_priors) AS VARCHAR), CAST(to_json(strikes) AS VARCHAR)
FROM {_STAGING}"""  # noqa: S608 (constants)

_STRIKES: Final = f"""
INSERT INTO gex_strikes
SELECT CAST(timestamp * 1000 AS BIGINT), upper(ticker), CAST(strike[1] AS DOUBLE), CAST(strike[2] AS DOUBLE),
    CAST(strike[3] AS DOUBLE), CAST(strike[4] AS VARCHAR)
FROM (SELECT timestamp, ticker, unnest(strikes) AS strike FROM {_STAGING})"""  # noqa: S608 (constants)


def import_day(source: Path, database: Path, parquet: Path, ticker: str, day: date) -> dict[str, int]:
    """Import a staged file and return how many rows were written."""
    key = {"ticker": ticker, "day": day}
    _run(database, _TABLES)
    _run(database, _READ, source=str(source))
    _run(database, f"DELETE FROM gex_snapshots WHERE {_OF_THE_DAY}", **key)  # noqa: S608 (constants)
    snapshots = _run(database, _SNAPSHOTS)
    _run(database, f"DELETE FROM gex_strikes WHERE {_OF_THE_DAY}", **key)  # noqa: S608 (constants)
    strike_rows = _run(database, _STRIKES)
    day_rows = f"SELECT * FROM gex_strikes WHERE {_OF_THE_DAY}"  # noqa: S608 (constants)
    parquet.unlink(missing_ok=True)
    _run(database, f"COPY ({day_rows}) TO '{parquet}' (FORMAT 'parquet', COMPRESSION 'zstd')", **key)
    _run(database, f"DROP TABLE {_STAGING}")
    return {"snapshots": snapshots, "strike_rows": strike_rows}


def _run(database: Path, statement: str, **values: Any) -> int:
    """Run a statement on a connection of its own and return the count that it answers, or 0."""
    with duckdb.connect(str(database)) as connection:
        row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row and isinstance(row[0], int) else 0


def main() -> None:
    """Import one file and print what was written."""
    parser = argparse.ArgumentParser(prog="python -m bench.workloads.seed_sql", description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--ticker", required=True)
    parser.add_argument("--day", type=date.fromisoformat, required=True)
    options = parser.parse_args()
    print(
        json.dumps(import_day(options.file, options.database, options.parquet, options.ticker, options.day))
    )


if __name__ == "__main__":
    main()
