"""The tables with live rows as views, whose files the variables of a query's session list."""

from __future__ import annotations

from typing import Final

from services.importer.lake.live_tables import KEYS, LIVE_TABLES, SNAPSHOTS, STRIKES
from services.importer.lake.views import read_listed_files

_KEYS_OF: Final = {SNAPSHOTS: f"live_{SNAPSHOTS}", STRIKES: f"live_{KEYS}"}
"""The files with the keys of live rows, and their versions."""
_KEY: Final = "ticker, endpoint, timestamp"

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
    base = read_listed_files(f"live_{table}_base", columns)
    chunks = read_listed_files(f"live_{table}", {**columns, "sequence": ("BIGINT", "")})
    hide = f"NOT list_contains(getvariable('live_{table}_hidden'), filename)"
    place = f"{canonical} WHERE {hide} UNION ALL" if canonical else ""
    if (keys := _KEYS_OF.get(table)) is None:
        live = f"SELECT {names} FROM {base} UNION ALL SELECT {names} FROM {chunks}"  # noqa: S608
        return f"{place} {live}"
    of_keys = read_listed_files(keys, {name: columns.get(name, ("BIGINT", "")) for name in _KEY_AND_VERSION})
    newest = f"(SELECT {_KEY}, max(sequence) AS sequence FROM {of_keys} GROUP BY ALL)"  # noqa: S608
    return (
        f"{place} SELECT {names} FROM {base} ANTI JOIN {newest} USING ({_KEY}) UNION ALL "  # noqa: S608 (names of ours)
        f"SELECT {names} FROM {chunks} SEMI JOIN {newest} USING ({_KEY}, sequence)"
    )


_KEY_AND_VERSION: Final = (*_KEY.split(", "), "sequence")
