"""The reader in C as Python sees it: its library, loaded by ctypes, and streams of it as capsules."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_void_p, py_object, pythonapi
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from services.importer.formats.format import Field, Kind
from services.importer.native import build
from shared.errors import CannotStart

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

_ABI: Final = 2
"""``READER_ABI`` of ``native/stream.h``."""
_KINDS: Final = {Kind.NUMBER: "n", Kind.INTEGER: "i", Kind.ARRAY: "a", Kind.NUMBERS: "v"}


class _Field(Structure):
    """``Field`` of ``native/plan.h``."""

    _fields_ = (
        ("name", c_char_p),
        ("column", c_char_p),
        ("name_size", c_int64),
        ("kind", c_int32),
        ("is_required", c_int32),
    )


class _Plan(Structure):
    """``Plan`` of ``native/plan.h``."""

    _fields_ = (
        ("path", c_char_p),
        ("ticker", c_char_p),
        ("row_field", c_char_p),
        ("fields", POINTER(_Field)),
        ("parts", POINTER(_Field)),
        ("kept", c_char_p),
        ("field_count", c_int64),
        ("part_count", c_int64),
        ("kept_count", c_int64),
        ("min_parts", c_int64),
        ("block_bytes", c_int64),
        ("batch_rows", c_int64),
        ("max_record_bytes", c_int64),
        ("max_records", c_int64),
        ("max_depth", c_int32),
        ("wants_rows", c_int32),
    )


def check() -> None:
    """Load the library.

    Raises:
        CannotStart: it is missing, cannot be loaded, or was built from other sources.
    """
    _library()


def stream(
    *,
    path: bytes,
    ticker: str,
    fields: Sequence[Field],
    row_field: str | None,
    parts: Sequence[Field],
    min_parts: int,
    wants_rows: bool,
    kept: bytes | None,
    block_bytes: int,
    batch_rows: int,
    max_record_bytes: int,
    max_records: int,
    max_depth: int,
) -> CapsuleType:
    """Return a capsule with an Arrow stream of the records, or of the rows, of a file.

    Nothing is read before a consumer requests the first batch, from any thread and without Python's lock. The
    capsule frees the stream, unless a consumer has taken it over.

    Args:
        path: the plain file.
        ticker: of every record, in capitals.
        fields: the fields of a record beside ``timestamp`` and ``ticker``.
        row_field: the array whose elements are rows, if there is one.
        parts: the elements of a row.
        min_parts: the minimum number of elements of a row.
        wants_rows: whether to read one row an element of that array, instead of one row a record.
        kept: a byte for each record of the file, 0 if its rows are dropped; None keeps all.
        block_bytes: the minimum to read at a time.
        batch_rows: a batch ends with the record that reaches this many rows.
        max_record_bytes: a longer record is refused.
        max_records: a file with more is refused.
        max_depth: a record that is nested deeper is refused.

    Raises:
        CannotStart: the library cannot be loaded.
        MemoryError: there is no memory.
    """
    plan = _Plan(
        path=path,
        ticker=ticker.encode(),
        row_field=None if row_field is None else row_field.encode(),
        fields=_c_fields(fields),
        parts=_c_fields(parts),
        kept=kept,
        field_count=len(fields),
        part_count=len(parts),
        kept_count=len(kept or b""),
        min_parts=min_parts,
        block_bytes=block_bytes,
        batch_rows=batch_rows,
        max_record_bytes=max_record_bytes,
        max_records=max_records,
        max_depth=max_depth,
        wants_rows=wants_rows,
    )
    library = _library()
    pointer = library.reader_open(ctypes.byref(plan))
    if not pointer:
        raise MemoryError
    try:
        return _capsule(library, pointer)
    except MemoryError:
        library.reader_close(pointer)
        raise


@cache
def _library() -> ctypes.CDLL:
    path = build.library_path()
    if not path.exists():
        raise CannotStart(f"the compiled reader {path} is missing: run make, or {build.COMMAND}")
    try:
        library = ctypes.CDLL(str(path))
        _declare(library)
    except (OSError, AttributeError) as error:
        raise CannotStart(
            f"the compiled reader {path} cannot be loaded ({error}): run {build.COMMAND}"
        ) from error
    expected = _ABI << 32 | ctypes.sizeof(_Plan) << 16 | ctypes.sizeof(_Field)
    if (found := library.reader_abi()) != expected:
        problem = f"has the interface {found:#x}, not {expected:#x}"
        raise CannotStart(f"the compiled reader {path} {problem}: remove it and run {build.COMMAND}")
    library.reader_set_capsule_pointer(ctypes.cast(pythonapi.PyCapsule_GetPointer, c_void_p))
    return library


def _declare(library: ctypes.CDLL) -> None:
    library.reader_abi.argtypes, library.reader_abi.restype = (), c_int64
    library.reader_set_capsule_pointer.argtypes, library.reader_set_capsule_pointer.restype = (
        (c_void_p,),
        None,
    )
    library.reader_open.argtypes, library.reader_open.restype = (POINTER(_Plan),), c_void_p
    library.reader_close.argtypes, library.reader_close.restype = (c_void_p,), None


def _capsule(library: ctypes.CDLL, pointer: int) -> CapsuleType:
    prototype = ctypes.PYFUNCTYPE(py_object, c_void_p, c_void_p, c_void_p)
    new = prototype(("PyCapsule_New", pythonapi))
    name = ctypes.addressof(ctypes.c_char.in_dll(library, "READER_CAPSULE_NAME"))
    destructor = ctypes.cast(library.reader_destroy_capsule, c_void_p)
    return cast("CapsuleType", new(pointer, name, destructor))


def _c_fields(fields: Sequence[Field]) -> Any:
    array = _Field * len(fields)
    return array(
        *(
            _Field(
                name=field.name.encode(),
                column=field.stored_as.encode(),
                kind=ord(_KINDS[field.kind]),
                is_required=field.required,
            )
            for field in fields
        )
    )
