"""How DuckDB reads records, and the expressions that hold values to their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.importer.formats.format import Field, Kind
from services.importer.statements_duckdb import quoted

TIMESTAMP_MS: Final = "TRY_CAST(TRY_CAST(timestamp AS DOUBLE) * 1000 AS BIGINT)"
"""Epoch milliseconds, half rounded to even, of epoch seconds as they stand in the file."""

_NUMBERS: Final = "'BIGINT', 'UBIGINT', 'DOUBLE'"
_LEAST_BYTES: Final = 1024 * 1024


def read_json(paths: Sequence[Path], form: str, largest_bytes: int, columns: dict[str, str]) -> str:
    """Return the call that reads records.

    Args:
        paths: files of the same form, in the order of their records.
        form: ``array`` or ``newline_delimited``.
        largest_bytes: no record is larger; DuckDB's buffers are twice that.
        columns: each with its type. Scalars are read as JSON: named as numbers, DuckDB would take text and
            booleans for numbers, and round fractional seconds.
    """
    named = ", ".join(f"{name}: {quoted(kind)}" for name, kind in columns.items())
    options = _options(paths, form, largest_bytes)
    how = f"auto_detect = false, records = true, {options}"
    return f"read_json({_files(paths)}, {how}, columns = {{{named}}})"


def read_objects(paths: Sequence[Path], form: str, largest_bytes: int) -> str:
    """Return the call that reads each record as its JSON text, in the column ``json``."""
    return f"read_json_objects({_files(paths)}, {_options(paths, form, largest_bytes)})"


def is_valid(field: Field) -> str:
    """Return the condition that a field, read as JSON, is what it must be."""
    value = {
        Kind.NUMBER: _is_number(field.name),
        Kind.INTEGER: f"({_is_number(field.name)} AND {_is_whole(field.name)})",
        Kind.ARRAY: _is_array(field.name),
        Kind.NUMBERS: _is_array(field.name),
    }[field.kind]
    return value if field.required else f"({field.name} IS NULL OR {value})"


def stored(field: Field) -> str:
    """Return the expression of a field, read as JSON, as its column has it; NULL where it is not valid."""
    kind = {Kind.NUMBER: "DOUBLE", Kind.INTEGER: "INTEGER"}.get(field.kind, "VARCHAR")
    return f"TRY_CAST({field.name} AS {kind}) AS {field.stored_as}"


def _is_number(name: str) -> str:
    return f"coalesce(json_type({name}) IN ({_NUMBERS}) AND isfinite(TRY_CAST({name} AS DOUBLE)), false)"


def _is_whole(name: str) -> str:
    value = f"TRY_CAST({name} AS DOUBLE)"
    return f"{value} = trunc({value}) AND TRY_CAST({name} AS INTEGER) IS NOT NULL"


def _is_array(name: str) -> str:
    """An array without the words that JSON does not have, nan and infinity, outside of quotes."""
    text = f"CAST({name} AS VARCHAR)"
    letters = " OR ".join(f"contains({text}, '{letter}')" for letter in "nNiI")
    unquoted = f"""regexp_replace({text}, '"(?:[^"\\\\]|\\\\.)*"', '', 'g')"""
    words = f"regexp_matches({unquoted}, '[nN][aA]|[iI][nN]')"
    return f"(json_type({name}) = 'ARRAY' AND NOT CASE WHEN {letters} THEN {words} ELSE false END)"


def _files(paths: Sequence[Path]) -> str:
    return f"[{', '.join(quoted(str(path)) for path in paths)}]"


def _options(paths: Sequence[Path], form: str, largest_bytes: int) -> str:
    compression = "gzip" if paths[0].suffix == ".gz" else "none"
    return (
        f"format = {quoted(form)}, compression = {quoted(compression)}, "
        f"maximum_object_size = {max(_LEAST_BYTES, largest_bytes)}, hive_partitioning = false"
    )
