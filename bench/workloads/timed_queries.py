"""Time queries on a DuckDB file, opened read-only.

``python -m bench.workloads.timed_queries DATABASE TIMES QUERY...`` runs each query once to warm up and
``TIMES`` times measured, and prints the seconds and the number of rows of each as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import duckdb


def timed(database: str, times: int, queries: list[str]) -> list[dict[str, Any]]:
    """Run queries on one read-only connection; return the seconds and the number of rows of each."""
    with duckdb.connect(database, read_only=True) as connection:
        return [_timed(connection, times, query) for query in queries]


def _timed(connection: duckdb.DuckDBPyConnection, times: int, query: str) -> dict[str, Any]:
    rows = len(connection.execute(query).fetchall())
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        connection.execute(query).fetchall()
        seconds.append(time.perf_counter() - began)
    return {"rows": rows, "seconds": seconds}


def main() -> None:
    """Time the given queries and print the result as JSON."""
    database, times, *queries = sys.argv[1:]
    print(json.dumps(timed(database, int(times), queries)))


if __name__ == "__main__":
    main()
