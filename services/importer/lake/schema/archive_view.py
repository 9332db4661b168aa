"""The view ``archived_jobs`` over the Parquet files of jobs that were taken out of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from services.importer.lake.schema.views import columns_of, read_files
from services.importer.lake.statements import quoted, transaction

LEDGER: Final = "gex_history_queue"
_VIEW: Final = "archived_jobs"
_WITH_COMMENTS: Final = (_VIEW, "all_jobs")
"""The views with the columns of the ledger, and so with its comments."""


class ArchiveView:
    """Keeps the view over one folder of files: it is made at first, and again when there are files or none.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._has_files: bool | None = None

    @property
    def has_files(self) -> bool:
        """Whether the view reads files."""
        return bool(self._has_files)

    @property
    def is_outdated(self) -> bool:
        """Whether the view has to be made."""
        return self._has_files != self._finds_files()

    def make(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the view, if it is outdated.

        Raises:
            duckdb.Error: it cannot be made, and is unchanged.
        """
        if not self.is_outdated:
            return
        found = self._finds_files()
        with transaction(connection):
            for statement in _statements(connection, self._root, found=found):
                connection.execute(statement)
        self._has_files = found

    def _finds_files(self) -> bool:
        return any(self._root.glob("[!.]*.parquet"))


def _statements(connection: duckdb.DuckDBPyConnection, root: Path, *, found: bool) -> Iterator[str]:
    columns = columns_of(connection, LEDGER)
    source = read_files(f"{root}/*.parquet", columns) if found else f"{LEDGER} WHERE false"
    yield f"CREATE OR REPLACE VIEW {_VIEW} AS SELECT {', '.join(columns)} FROM {source}"  # noqa: S608 (quoted)
    yield f"COMMENT ON VIEW {_VIEW} IS 'Jobs in data/archive/jobs, in the columns of {LEDGER}'"
    for view in _WITH_COMMENTS:
        for name, (_, comment) in columns.items():
            yield f"COMMENT ON COLUMN {view}.{name} IS {quoted(comment)}"
