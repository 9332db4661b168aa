"""The records of a history file, read strictly with plain Python's ``json``: the oracle's eyes."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

Fault = tuple[int | None, str | None]
"""A record's number, from 1, and the field that is wrong; None: whichever."""


@dataclass(frozen=True)
class Refused:
    """How the file may be refused.

    Args:
        kinds: of ``record``, ``file`` and ``empty``, which errors are right.
        faults: what an error about a record may name.
    """

    kinds: frozenset[str]
    faults: frozenset[Fault] = frozenset()

    def allows(self, kind: str, number: int | None, name: str | None) -> bool:
        """Return whether an error is one of those."""
        named = {(number, name), (number, None), (None, None)} & self.faults
        return kind in self.kinds and (kind != "record" or bool(named))


class Silent(Exception):
    """The description is silent about this."""


class Refusal(Exception):
    def __init__(self, *kinds: str, faults: frozenset[Fault] = frozenset()) -> None:
        self.refused = Refused(frozenset(kinds), faults)


class Object(dict[str, Any]):
    """An object of the file, and the keys that it has twice."""

    twice: frozenset[str]

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Object:
        names = [name for name, _ in pairs]
        made = cls(pairs)
        made.twice = frozenset(name for name in made if names.count(name) > 1)
        return made


@dataclass(frozen=True)
class NoNumber:
    """NaN, Infinity or -Infinity, which Python reads and JSON does not know."""

    token: str


_DECODER: Final = json.JSONDecoder(
    parse_int=float, parse_float=float, parse_constant=NoNumber, object_pairs_hook=Object.of
)


def text_of(data: bytes) -> tuple[str, bool]:
    """Return the text of a file as far as it can be read, and whether that is not all of it."""
    plain, damaged = _unpacked(data) if data.startswith(b"\x1f\x8b") else (data, False)
    try:
        return plain.decode("utf-8-sig"), damaged
    except UnicodeDecodeError as error:
        return plain[: error.start].decode("utf-8-sig", "ignore"), True


def _unpacked(data: bytes) -> tuple[bytes, bool]:
    out = bytearray()
    try:
        with gzip.open(BytesIO(data)) as file:
            while byte := file.read(256):
                out += byte
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return bytes(out), True
    return bytes(out), not data


_BLANKS: Final = re.compile(r"[ \t\r\n]*")


def _past_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, number: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise Refusal("file") from None
    except RecursionError:
        raise Refusal("record", "file", faults=frozenset({(number, None)})) from None


def records_of(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the records of a file, each with its own text."""
    at = _past_blanks(text, 0)
    if at == len(text):
        raise Refusal("empty")
    if text[at] == "[":
        yield from _in_array(text, at)
    elif text[at] == "{":
        yield from _in_lines(text)
    else:
        raise Refusal("file")


def _in_array(text: str, at: int) -> Iterator[tuple[Any, str]]:
    at = _past_blanks(text, at + 1)
    number = 0
    while number or text[at : at + 1] != "]":
        number += 1
        value, end = _value(text, at, number)
        yield value, text[at:end]
        at = _past_blanks(text, end)
        if text[at : at + 1] != ",":
            break
        at = _past_blanks(text, at + 1)
    if text[at : at + 1] != "]" or _past_blanks(text, at + 1) != len(text):
        raise Refusal("file")
    if not number:
        raise Refusal("empty")


def _in_lines(text: str) -> Iterator[tuple[Any, str]]:
    number = 0
    for line in text.split("\n"):
        content = line.strip(" \t\r")
        if "\r" in content:
            raise Silent("a carriage return within a line")
        if content:
            number += 1
            try:
                value, end = _value(content, 0, number)
            except Refusal:
                end = 0
            if end != len(content):
                # Records over several lines, or several on one, may be read on until one breaks a rule.
                raise Refusal("file", "record", faults=frozenset({(None, None)}))
            yield value, content
