"""Find out what is wrong with a staged file: which record, and which field.

A plain reader, a record at a time. It is much slower than the compiled one, and runs only on files that were
refused.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import date
from typing import IO, Any, Final

from services.importer.errors import BadRecord, NoRecords, UnreadableFile
from services.importer.formats.format import MAX_RECORD_BYTES
from services.importer.reader.record_rules import (
    Record,
    Word,
    fault_of,
    fault_of_day,
    fault_of_first_time,
    timestamp_ms_of,
)
from services.importer.reader.source import OpenFile, RecordSource
from shared.errors import Terminal
from shared.gexbot.trading_day import trading_day_of

_CHUNK_CHARS: Final = 1 << 20
_BLANKS: Final = " \t\r\n"
_MAX_DIGITS: Final = 400
"""A double has up to 309 digits before the point; Python refuses integers of more than 4,300."""


def refusal_of(source: RecordSource, problem: str) -> Terminal:
    """Return the error for a file that was refused.

    Args:
        source: the file.
        problem: why it was refused; used if reading it record by record finds nothing.
    """
    return find_fault(source) or UnreadableFile(source.file.name, problem)


def find_fault(source: RecordSource) -> Terminal | None:
    """Return the first thing that is wrong with a staged file, or None."""
    name, checker = source.file.name, _Checker(source)
    number = 0
    try:
        for number, record in enumerate(_records(source.file), start=1):
            source.interruption.check()
            if error := checker.error_of(number, record):
                return error
    except UnreadableFile as unreadable:
        return unreadable
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return UnreadableFile(name, f"its gzip data is cut off or damaged after record {number} ({error})")
    except UnicodeDecodeError:
        return UnreadableFile(name, f"it is not UTF-8 text after record {number}")
    except RecursionError:
        return UnreadableFile(name, f"record {number + 1} is nested too deeply")
    else:
        return checker.error_of_day if number else NoRecords(name)


class _Checker:
    """Checks one record after the other."""

    def __init__(self, source: RecordSource) -> None:
        self._source = source
        self._day: date | None = source.day
        self._out_of_day = 0
        self._kept = 0
        self._first_out_of_day: BadRecord | None = None

    def error_of(self, number: int, record: Any) -> BadRecord | None:
        """Return the error of a record; if out-of-day records are too many, that of the first of them."""
        name = self._source.file.name
        fault = fault_of(record, self._source.format, self._source.ticker)
        if fault is None and self._day is None:
            fault = fault_of_first_time(record)
        if fault is not None:
            return BadRecord(name, number, *fault)
        self._day = self._day or trading_day_of(timestamp_ms_of(record))
        problem = fault_of_day(record, self._day)
        if problem is None:
            self._kept += 1
            return None
        self._out_of_day += 1
        self._first_out_of_day = self._first_out_of_day or BadRecord(name, number, *problem)
        return self._first_out_of_day if self._out_of_day > self._source.max_out_of_day else None

    @property
    def error_of_day(self) -> BadRecord | None:
        """The error of a file without any record of its day; None if it has one."""
        return None if self._kept else self._first_out_of_day


def _text_of(file: OpenFile) -> IO[str]:
    if file.is_packed:
        return gzip.open(file.path, "rt", encoding="utf-8-sig")
    return file.path.open(encoding="utf-8-sig")


def _records(file: OpenFile) -> Iterator[Any]:
    with _text_of(file) as text:
        yield from _Scanner(file.name, text).records()


class _Scanner:
    """Reads an array, or one record a line, without holding more than a record and a chunk."""

    def __init__(self, name: str, file: IO[str]) -> None:
        self._name = name
        self._file = file
        self._text = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder(object_pairs_hook=Record, parse_constant=Word, parse_int=_integer)

    def records(self) -> Iterator[Any]:
        first = self._skip_blanks()
        if not first:
            return
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
                if end - self._at > MAX_RECORD_BYTES:
                    raise UnreadableFile(self._name, self._too_large(number))
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if len(self._text) - self._at > MAX_RECORD_BYTES:
                raise UnreadableFile(self._name, self._too_large(number))
            self._read(max(_CHUNK_CHARS, len(self._text) - self._at))

    def _too_large(self, number: int) -> str:
        return f"record {number} is larger than {MAX_RECORD_BYTES >> 20} MiB"

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


def _integer(text: str) -> float:
    return int(text) if len(text) <= _MAX_DIGITS else float(text)
