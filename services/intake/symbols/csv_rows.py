"""Symbols in a CSV file: a header, then one symbol a line."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from gexlake.api.chronox.symbols import MAX_BULK
from services.intake.errors import Unprocessable

_NEEDED: Final = ("symbol", "strategy")


def symbols_in(content: bytes) -> list[dict[str, Any]]:
    """Return the lines of a CSV file by the names in its header; empty cells are left out.

    Raises:
        Unprocessable: it is not UTF-8, lacks a column, or has no or too many lines.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unprocessable("body", "utf-8", "body: the CSV is not UTF-8: save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        for name in _NEEDED:
            if name not in names:
                raise Unprocessable("body", "columns", f"body: the first line names no column {name!r}")
        reader.fieldnames = names
        rows = [
            {name: value.strip() for name, value in row.items() if isinstance(value, str) and value.strip()}
            for row in reader
        ]
    except csv.Error as error:
        raise Unprocessable("body", "csv", f"body: line {reader.line_num} is no CSV: {error}") from error
    if not 1 <= len(rows) <= MAX_BULK:
        raise Unprocessable("body", "rows", f"body: it has {len(rows)} symbols; 1 to {MAX_BULK} are allowed")
    return rows
