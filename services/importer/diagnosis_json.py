"""Say what is wrong with a file that DuckDB refused: which record, which field.

A plain reader, a record at a time. It is slow beside DuckDB, and runs only on files that are refused anyway.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

from services.importer.errors import BadRecord, NoRecords, UnreadableFile
from services.importer.history_format import MAX_RECORD_BYTES
from services.importer.record_rules import fault_of, timestamp_ms_of
from services.importer.statements_duckdb import Interruption
from shared.errors import Terminal
from shared.trading_day import trading_day_of

_CHUNK_CHARS: Final = 1 << 20
_BLANKS: Final = " \t\r\n"


def find_fault(path: Path, ticker: str, day: date | None, interruption: Interruption) -> Terminal | None:
    """Return the first thing that is wrong with a staged file, or None.

    Args:
        path: the staged file.
        ticker: the job's.
        day: the job's trading day; None: that of the first record.
        interruption: by which the work may be ended from outside.
    """
    number = 0
    try:
        for number, record in enumerate(_records(path), start=1):
            interruption.check()
            if fault := fault_of(record, ticker, day):
                return BadRecord(path.name, number, *fault)
            day = day or trading_day_of(timestamp_ms_of(record))
    except UnreadableFile as error:
        return error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return UnreadableFile(
            path.name, f"its gzip data is cut off or damaged after record {number} ({error})"
        )
    except UnicodeDecodeError:
        return UnreadableFile(path.name, f"it is not UTF-8 text after record {number}")
    except RecursionError:
        return UnreadableFile(path.name, f"record {number + 1} is nested too deeply")
    return None if number else NoRecords(path.name)


def open_text(path: Path) -> IO[str]:
    """Open a staged file as text, unpacked if its name says that it is packed."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _records(path: Path) -> Iterator[Any]:
    with open_text(path) as file:
        yield from _Scanner(path.name, file).records()


class _Scanner:
    """Reads an array, or one record a line, without holding more than a record and a chunk."""

    def __init__(self, name: str, file: IO[str]) -> None:
        self._name = name
        self._file = file
        self._text = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def records(self) -> Iterator[Any]:
        first = self._skip_blanks()
        if first not in {"[", "{"}:
            raise UnreadableFile(self._name, self._what_it_is(first))
        in_array = first == "["
        self._at += in_array
        number = 0
        while (char := self._skip_blanks()) and not (in_array and char == "]"):
            number += 1
            if in_array and number > 1:
                self._expect_comma(char, number)
            yield self._record(number)
        if in_array:
            self._end_array(char, number)

    def _what_it_is(self, first: str) -> str:
        if not first:
            return "the file is empty"
        if first == "<":
            return "it holds HTML or XML instead of JSON (an error page, perhaps)"
        return f"it starts with {first!r}: neither an array of records nor one record a line"

    def _expect_comma(self, char: str, number: int) -> None:
        if char != ",":
            raise UnreadableFile(
                self._name, f"it is not JSON: no comma between records {number - 1} and {number}"
            )
        self._at += 1
        self._skip_blanks()

    def _end_array(self, char: str, number: int) -> None:
        if not char:
            raise UnreadableFile(self._name, f"the file is cut off after record {number}")
        self._at += 1
        if self._skip_blanks():
            raise UnreadableFile(
                self._name, f"there is something after the end of the array (record {number})"
            )

    def _record(self, number: int) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise UnreadableFile(self._name, self._why(error, number)) from error
            else:
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if len(self._text) - self._at > MAX_RECORD_BYTES:
                raise UnreadableFile(self._name, f"record {number} is larger than {MAX_RECORD_BYTES} bytes")
            self._read(max(_CHUNK_CHARS, len(self._text) - self._at))

    def _why(self, error: json.JSONDecodeError, number: int) -> str:
        at_end = not self._text[error.pos :].strip() or "Unterminated" in error.msg
        return (
            f"the file is cut off in record {number}"
            if at_end
            else f"record {number} is not JSON ({error.msg})"
        )

    def _skip_blanks(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read(_CHUNK_CHARS)

    def _read(self, size: int) -> None:
        more = self._file.read(size)
        self._ended = not more
        self._text = self._text[self._at :] + more
        self._at = 0
