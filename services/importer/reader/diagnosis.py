"""Name what is wrong with a refused file: which record, and which field.

The compiled reader returns the record at which it stopped, and the byte after which it begins. That record is
read again here, by a plain reader that is much slower and knows the names of the fields. So the cost does not
depend on the file: at most ``BUDGET_BYTES`` are read, and a file whose fault is not in them is refused with
the error of the compiled reader.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from services.importer.errors import BadRecord, NoRecords, UnreadableFile
from services.importer.formats.format import MAX_RECORD_BYTES
from services.importer.reader.record_rules import Record, Word, fault_of
from services.importer.reader.source import RecordSource
from shared.errors import Terminal
from shared.gexbot.error_answer import error_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

BUDGET_BYTES: Final = 1024 * 1024
"""The most that is read to name a fault; real records have about 7,000 bytes."""
_CHUNK_CHARS: Final = 64 * 1024
_BLANKS: Final = " \t\r\n"
_MAX_DIGITS: Final = 400
"""A double has up to 309 digits before the point; Python refuses integers of more than 4,300."""
_PLACE: Final = re.compile(r"record (?P<number>\d+)\b.* \(after byte (?P<after>\d+)\)")
_TOO_LARGE: Final = re.compile(r"record (\d+): too large")


@dataclass(frozen=True)
class _Place:
    """The record at which the compiled reader stopped.

    Args:
        number: which record, the first being 1.
        after: the byte at which the record before it ends; 0 for the first.
    """

    number: int = 1
    after: int = 0

    @classmethod
    def of(cls, problem: str) -> _Place:
        match = _PLACE.search(problem)
        if match is None or match["number"] == "1":
            return cls()
        return cls(int(match["number"]), int(match["after"]))


def refusal_of(source: RecordSource, path: Path, problem: str) -> Terminal:
    """Return the error for a file that the compiled reader refused.

    Args:
        source: the file, and the rules for its records.
        path: its plain text.
        problem: the error of the compiled reader.
    """
    name = source.file.name
    if match := _TOO_LARGE.match(problem):
        return UnreadableFile(name, f"record {match[1]} is larger than {MAX_RECORD_BYTES >> 20} MiB")
    place = _Place.of(problem)
    try:
        return _fault_at(place, source, path) or UnreadableFile(name, problem)
    except UnreadableFile as unreadable:
        return unreadable
    except _OverBudget:
        return UnreadableFile(name, problem)
    except UnicodeDecodeError:
        return UnreadableFile(name, f"it is not UTF-8 text after record {place.number - 1}")
    except RecursionError:
        return UnreadableFile(name, f"record {place.number} is nested too deeply")


def _fault_at(place: _Place, source: RecordSource, path: Path) -> Terminal | None:
    """Return what is wrong with the record at a place.

    Raises:
        UnreadableFile: it is not JSON.
        UnicodeDecodeError: it is not text.
        RecursionError: it is nested too deeply.
    """
    name = source.file.name
    scanner = _Scanner(name, path, place)
    for record in scanner.records():
        if place.number == 1 and (text := error_of(record)):
            return UnreadableFile(name, f"it holds an error of the vendor instead of records: {text!r}")
        fault = fault_of(record, source.format, source.ticker)
        return BadRecord(name, place.number, *fault) if fault else None
    return NoRecords(name) if place.number == 1 else None


class _OverBudget(Exception):
    """The fault is not in the first ``BUDGET_BYTES``."""


class _Limited(io.RawIOBase):
    """The bytes of a file from a place on, up to the budget."""

    def __init__(self, path: Path, after: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(after)
        self._left = BUDGET_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        if not self._left:
            raise _OverBudget
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _first_char(path: Path) -> str:
    """Return the first character of a file that is no blank."""
    with _text_of(path, 0) as text:
        while chunk := text.read(_CHUNK_CHARS):
            if stripped := chunk.lstrip(_BLANKS):
                return stripped[0]
    return ""


def _text_of(path: Path, after: int) -> IO[str]:
    encoding = "utf-8" if after else "utf-8-sig"
    return io.TextIOWrapper(io.BufferedReader(_Limited(path, after), _CHUNK_CHARS), encoding, newline="")


class _Scanner:
    """Reads the records of an array, or one record a line, from a place on.

    Args:
        name: the staged file's name.
        path: its plain text.
        place: where to begin.
    """

    def __init__(self, name: str, path: Path, place: _Place) -> None:
        self._name = name
        self._path = path
        self._place = place
        self._text = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder(object_pairs_hook=Record, parse_constant=Word, parse_int=_integer)

    def records(self) -> Iterator[Any]:
        """Yield the record at the place, if there is one."""
        with _text_of(self._path, self._place.after) as self._file:
            in_array = self._begin()
            number, char = self._place.number, self._skip_blanks()
            if char and not (in_array and char == "]"):
                if in_array and number > 1:
                    self._expect_comma(char, number)
                yield self._record(number)
            elif in_array:
                self._end_array(char, number - 1)

    def _begin(self) -> bool:
        """Return whether the file is an array, and skip its bracket."""
        if self._place.after:
            return _first_char(self._path) == "["
        first = self._skip_blanks()
        if first and first not in {"[", "{"}:
            raise UnreadableFile(self._name, self._what_it_is(first))
        self._at += first == "["
        return first == "["

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
            raise UnreadableFile(
                self._name, f"the file is cut off after record {number}, at byte {self._size_bytes}"
            )
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
            self._read(max(_CHUNK_CHARS, len(self._text) - self._at))

    def _why(self, error: json.JSONDecodeError, number: int) -> str:
        at_end = not self._text[error.pos :].strip() or "Unterminated" in error.msg
        return (
            f"the file is cut off in record {number}, at byte {self._size_bytes}"
            if at_end
            else f"record {number} is not JSON ({error.msg})"
        )

    @property
    def _size_bytes(self) -> int:
        return self._path.stat().st_size

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
