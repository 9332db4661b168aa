"""The tables with live rows as views, whose files the variables of a query's session list."""

from __future__ import annotations

from typing import Final

from services.importer.lake.live.tables import (
    CHAIN_SNAPSHOTS,
    CHAINS,
    KEYS,
    LIVE_TABLES,
    SNAPSHOTS,
    STRIKES,
)
from services.importer.lake.schema.views import read_listed_files

_KEYS_OF: Final = {
    SNAPSHOTS: f"live_{SNAPSHOTS}",
    STRIKES: f"live_{KEYS}",
    **dict.fromkeys(CHAINS, f"live_{CHAIN_SNAPSHOTS}"),
}
"""The files with the keys of live rows, and their versions."""
_KEY: Final = ("ticker", "endpoint", "timestamp")
_KEY_OF_CHAINS: Final = ("snapshot_id",)

VARIABLES: Final = {
    **{f"live_{table}{kind}": table for table in LIVE_TABLES for kind in ("", "_base", "_hidden")},
    _KEYS_OF[STRIKES]: STRIKES,
}
"""The variables, and the table of each."""


def with_live_rows(table: str, columns: dict[str, tuple[str, str]], canonical: str | None) -> str:
    """Return the query of a table's rows: those of the files in place, but hidden ones, and the live rows.

    Of several versions of a snapshot, or of its strikes, the newest is read.

    Args:
        table: which.
        columns: the type and the comment of each column.
        canonical: the query of the files in place, with ``filename`` among the columns that it reads; None if
            there are none.
    """
    names = ", ".join(f'"{name}"' for name in columns)
    base = rows_of_table(table, read_listed_files(f"live_{table}_base", columns_to_read(table, columns)))
    chunks = read_listed_files(f"live_{table}", {**columns, "sequence": ("BIGINT", "")})
    hide = f"NOT list_contains(getvariable('live_{table}_hidden'), filename)"
    place = f"{canonical} WHERE {hide} UNION ALL" if canonical else ""
    if (keys := _KEYS_OF.get(table)) is None:
        live = f"SELECT {names} FROM {base} UNION ALL SELECT {names} FROM {chunks}"  # noqa: S608
        return f"{place} {live}"
    of_table = _KEY_OF_CHAINS if table in CHAINS else _KEY
    key = ", ".join(of_table)
    version = {"sequence": ("BIGINT", "")}
    of_keys = read_listed_files(keys, {name: columns[name] for name in of_table} | version)
    newest = f"(SELECT {key}, max(sequence) AS sequence FROM {of_keys} GROUP BY ALL)"  # noqa: S608
    return (
        f"{place} SELECT {names} FROM {base} ANTI JOIN {newest} USING ({key}) UNION ALL "  # noqa: S608 (names of ours)
        f"SELECT {names} FROM {chunks} SEMI JOIN {newest} USING ({key}, sequence)"
    )


def columns_to_read(table: str, columns: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the columns of a table's files that ``rows_of_table`` needs, with their types and comments."""
    return {**columns, "strike_number": ("INTEGER", "")} if table == CHAIN_SNAPSHOTS else columns


def rows_of_table(table: str, files: str) -> str:
    """Return the SQL that reads a table's rows from its files: those of option chains have a row a strike.

    Args:
        table: which.
        files: the SQL that reads the files, with the columns of ``columns_to_read``.
    """
    return f"(FROM {files} WHERE strike_number = 1)" if table == CHAIN_SNAPSHOTS else files
