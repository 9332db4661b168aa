"""Read a staged file once, from front to end, and split it for DuckDB's readers.

DuckDB parses one JSON array in one thread, so the file is cut into *pieces*, arrays of whole records, which
all threads share. And what is asked of every record as a whole (its scalars, its names) would need a second
parse of everything: so the records are written once more without the elements of their row arrays. These
*heads* are a few percent of the file.

A cut is made where a record seems to begin. That is only a guess: the same characters may stand in a string,
or deeper inside a record. But a piece that was cut there ends inside a string or with an open bracket, and is
no JSON. So when every piece parses, every cut was right; otherwise the file is read uncut.

In heads, only what begins with a bracket and has neither quotes nor braces up to the next name or the end of
its record is left out. If that was one value, it was an array. If it was more, the pieces are no JSON.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from services.importer.errors import UnreadableFile
from services.importer.formats.format import MAX_RECORD_BYTES
from services.importer.pieces import Pieces
from services.importer.statements_duckdb import Interruption

RUN_BYTES = 512 * 1024
"""What is read and looked through at a time, at least: as much as stays in a processor's cache."""
PIECE_BYTES = 4 * 1024 * 1024
"""What a piece has at least, except the last."""

_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"
_FIRST_NAME: Final = re.compile(rb'\s*\[?\s*\{\s*("(?:[^"\\]|\\.)*")')
_ARRAY: Final = re.compile(rb"\s*:\s*\[")
_AHEAD_BYTES: Final = 128 * 1024
"""How much is read beyond a piece, in which the record that crosses its end should end."""
_BUFFER_BYTES: Final = 1 << 20
_IN_ROWS: Final = b"0123456789.,-+eE[]nul" + _BLANKS
"""What numbers, nulls, arrays and blanks are written with."""


class CannotCut(Exception):
    """No record seems to begin for as many bytes as a record may have: it is too large, or looks strange."""


@dataclass(frozen=True)
class Split:
    """A staged file as DuckDB is to read it.

    Args:
        pieces: the records, in their order.
        heads: the records without their rows; the same as ``pieces`` where they could not be left out.
        form: ``array`` or ``newline_delimited``, of the pieces and the heads alike.
        largest_bytes: no record is larger than this.
        colons: how many there are in the heads: at least as many as names.
        is_derived: whether the file was cut or heads were made, which only parsing them proves right.
    """

    pieces: tuple[Path, ...]
    heads: tuple[Path, ...]
    form: str
    largest_bytes: int = MAX_RECORD_BYTES
    colons: int | None = None
    is_derived: bool = False


def split(
    path: Path, folder: Path, *, piece_share: float, row_field: str | None, interruption: Interruption
) -> Split:
    """Split a staged file into files in ``folder``.

    Args:
        path: the staged file: an array or one record a line, plain or gzip.
        folder: where pieces and heads are written; it must be empty.
        piece_share: what a piece has of ``PIECE_BYTES``: DuckDB's memory depends on it, for it takes as many
            records of a file at a time as it can.
        row_field: the name of the array that heads go without; None if records have none.
        interruption: by which the work may be ended from outside.

    Raises:
        UnreadableFile: its gzip data is damaged, or it is neither an array nor one record a line.
        CannotCut: no record seems to begin for as many bytes as a record may have.
        OSError: it cannot be read, or the pieces cannot be written.
    """
    try:
        with open_binary(path) as file:
            return _Splitter(path, folder, row_field, interruption).split(file, piece_share * PIECE_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(path.name, f"its gzip data is cut off or damaged ({error})") from error


def whole(path: Path, folder: Path, interruption: Interruption) -> Split:
    """Return a staged file in one piece, without heads: nothing about it is guessed.

    Raises:
        UnreadableFile: its gzip data is damaged, or it is neither an array nor one record a line.
        OSError: it cannot be read, or unpacked into ``folder``.
    """
    try:
        with open_binary(path) as file:
            start = file.read(RUN_BYTES)
            form = _form(path, start.removeprefix(_BOM))
            if not _needs_copy(path, start):
                return Split((path,), (path,), form)
            copy = folder / "whole.json"
            with copy.open("wb") as out:
                block = start.removeprefix(_BOM)
                while block:
                    interruption.check()
                    out.write(block)
                    block = file.read(RUN_BYTES)
            return Split((copy,), (copy,), form)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(path.name, f"its gzip data is cut off or damaged ({error})") from error


def open_binary(path: Path) -> BinaryIO:
    """Open a staged file, unpacked if its name says that it is packed."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb", buffering=0)


class _Splitter:
    def __init__(self, path: Path, folder: Path, row_field: str | None, interruption: Interruption) -> None:
        self._path = path
        self._folder = folder
        self._row_name = f'"{row_field}"'.encode() if row_field else b""
        self._interruption = interruption
        self._colons = 0
        self._largest = 0

    def split(self, file: BinaryIO, piece_bytes: float) -> Split:
        start = file.read(RUN_BYTES)
        copy = _needs_copy(self._path, start)
        start = start.removeprefix(_BOM)
        form = _form(self._path, start)
        runs = _runs(file, start, _boundary(form, start))
        heads = self._folder / "heads.json"
        with (
            heads.open("wb", buffering=_BUFFER_BYTES) as out,
            Pieces(self._folder, in_array=form == "array", size_bytes=piece_bytes) as pieces,
        ):
            for number, (run, gap) in enumerate(runs):
                self._interruption.check()
                self._largest = max(self._largest, len(run))
                if self._row_name:
                    for part in (*self._without_rows(run), gap):
                        self._colons += part.count(b":")
                        out.write(part)
                is_all = not number and not gap
                if copy or not is_all:
                    pieces.add(run, gap)
        found = tuple(pieces.paths) or (self._path,)
        return Split(
            pieces=found,
            heads=(heads,) if self._row_name else found,
            form=form,
            largest_bytes=self._largest,
            colons=self._colons if self._row_name else None,
            is_derived=bool(self._row_name) or len(found) > 1,
        )

    def _without_rows(self, run: bytes) -> Iterator[bytes]:
        """Yield the parts of ``run`` that are left when the elements of its row arrays are not."""
        kept = at = 0
        while (at := run.find(self._row_name, at)) >= 0:
            value = _ARRAY.match(run, at + len(self._row_name))
            at += len(self._row_name)
            if value is None:
                continue
            begin = value.end() - 1
            end, at = _plain_array(run, begin)
            if end > begin:
                yield run[kept : begin + 1]
                kept = end - 1
        yield run[kept:]


def _needs_copy(path: Path, start: bytes) -> bool:
    """Tell whether DuckDB is not to read the file itself: it takes no mark of byte order."""
    return path.suffix == ".gz" or start.startswith(_BOM)


def _form(path: Path, start: bytes) -> str:
    first = start.lstrip(_BLANKS)[:1]
    if first not in {b"[", b"{"}:
        raise UnreadableFile(path.name, "it is neither an array of records nor one record a line")
    return "array" if first == b"[" else "newline_delimited"


def _plain_array(run: bytes, begin: int) -> tuple[int, int]:
    """Return where the array at ``begin`` ends, if it has only numbers, nulls and arrays, and where to go on.

    The first of both is ``begin`` itself if it has more than that.
    """
    quote = run.find(b'"', begin)
    limit = len(run) if quote < 0 else quote
    brace = run.find(b"}", begin, limit)
    limit = limit if brace < 0 else brace
    text = run[begin:limit]
    if text.translate(None, _IN_ROWS):
        return begin, limit
    text = text.rstrip(_BLANKS)
    if brace < 0:
        text = text.removesuffix(b",").rstrip(_BLANKS)
    return (begin + len(text) if text.endswith(b"]") else begin), limit


def _boundary(form: str, start: bytes) -> re.Pattern[bytes]:
    """Return what stands between two records; its group is where the second begins."""
    if form == "newline_delimited":
        return re.compile(rb"\n()")
    first = _FIRST_NAME.match(start)
    name = re.escape(first[1]) if first else rb'"'
    return re.compile(rb"(?<=\})\s*,\s*(?=(\{\s*" + name + rb"))")


def _runs(file: BinaryIO, buffer: bytes, boundary: re.Pattern[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield runs of whole records, as far as their boundaries can be believed, and what is between two.

    There is nothing after the last.

    Raises:
        CannotCut: no record seems to end for long.
    """
    ended = False
    while True:
        match = boundary.search(buffer, RUN_BYTES)
        if match is not None:
            yield buffer[: match.start()], buffer[match.start() : match.start(1)]
            buffer = buffer[match.start(1) :]
        elif ended:
            yield buffer, b""
            return
        elif len(buffer) > RUN_BYTES + MAX_RECORD_BYTES:
            raise CannotCut
        else:
            # A record that goes on and on is looked through a few times, not once for each block.
            missing = RUN_BYTES + _AHEAD_BYTES - len(buffer)
            more = file.read(max(missing, _AHEAD_BYTES, len(buffer) - 2 * RUN_BYTES))
            ended = not more
            buffer += more
