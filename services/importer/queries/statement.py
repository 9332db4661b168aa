"""Which statements are answered: one that reads."""

from __future__ import annotations

import re
from typing import Final

import duckdb

_OPTIONS: Final = r"\(\s*(?:ANALYZE|FORMAT)\b(?:[\w\s,]|'\w*')*\)"
_EXPLAIN: Final = re.compile(rf"\s*EXPLAIN(\s+ANALYZE)?(\s*{_OPTIONS})?", re.IGNORECASE)


class StatementRefused(Exception):
    """A text that is not one reading statement; ``str()`` says why."""


def check(text: str) -> str:
    """Check that a text is one statement that reads, and return it without what ends it.

    Raises:
        StatementRefused: it is not.
        duckdb.Error: it is not SQL.
    """
    statements = duckdb.extract_statements(text)
    if len(statements) != 1:
        raise StatementRefused(f"send one statement, not {len(statements)}")
    kind = statements[0].type
    if kind is duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, and a read-only database does not prevent COPY.
        check(_EXPLAIN.sub("", statements[0].query, count=1))
    elif kind is duckdb.StatementType.MULTI:
        # Without values, DuckDB creates an ENUM type from the data before the query.
        raise StatementRefused("a PIVOT has to name the values that become columns: ON … IN (…)")
    elif kind is not duckdb.StatementType.SELECT:
        raise StatementRefused(f"only queries that read are answered, not {kind.name}")
    return _without_end(text)


def _without_end(text: str) -> str:
    """Return a statement without the semicolon at its end, and without what follows."""
    # Positions are in bytes.
    encoded = text.encode()
    starts = [start for start, kind in duckdb.tokenize(text) if kind is not duckdb.token_type.comment]
    return encoded[: starts[-1]].decode() if encoded[starts[-1] :].startswith(b";") else text
