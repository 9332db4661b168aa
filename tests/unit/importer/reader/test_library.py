"""The reader's library behind ctypes: what is checked when it is loaded, and what its streams own."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from services.importer.native import build
from services.importer.reader import library
from services.importer.reader.arrow_stream import StagedTable
from shared.errors import CannotStart
from tests.support.importer.staged import source_of, text_of


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the path of a library that is loaded instead of the usual one."""
    path = tmp_path / "reader.so"
    monkeypatch.setattr(build, "library_path", lambda: path)
    library._library.cache_clear()
    yield path
    library._library.cache_clear()


def test_a_missing_library_is_named_with_the_command_that_makes_it(other: Path) -> None:
    with pytest.raises(CannotStart) as refused:
        library.check()
    assert str(refused.value) == (
        f"the compiled reader {other} is missing: run make, or python -m services.importer.native.build"
    )


@pytest.mark.parametrize("content", [b"", b"\x7fELF of another machine"])
def test_a_library_that_cannot_be_loaded_is_named(other: Path, content: bytes) -> None:
    other.write_bytes(content)
    with pytest.raises(CannotStart, match=r"reader\.so cannot be loaded \(.*\): run python -m services"):
        library.check()


def test_a_library_with_another_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_ABI", 3)
    library._library.cache_clear()
    with pytest.raises(CannotStart, match=r"has the interface 0x2\w{8}, not 0x3\w{8}: remove it and run"):
        library.check()


def test_a_library_with_structures_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "sizeof", lambda _: 8)
    library._library.cache_clear()
    with pytest.raises(CannotStart, match="has the interface"):
        library.check()


def test_streams_that_no_consumer_takes_are_freed(tmp_path: Path) -> None:
    table = StagedTable(source_of(tmp_path), tmp_path, rows=True, batch_rows=1, kept=bytes(1 << 20))
    table.__arrow_c_stream__()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        table.__arrow_c_stream__()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_stream_outlives_its_table_and_its_capsule(tmp_path: Path) -> None:
    path = tmp_path / "day.json"
    path.write_bytes(text_of("", ""))
    table = StagedTable(source_of(path), path, rows=False, batch_rows=1)
    capsule = table.__arrow_c_stream__()
    reader = pa.RecordBatchReader._import_from_c_capsule(capsule)
    del table, capsule
    assert reader.read_all()["number"].to_pylist() == [1, 2]


def test_no_memory_for_a_locale_fails_the_stream(other: Path, tmp_path: Path) -> None:
    """The reader needs a locale only for numbers that are not exact in a double."""
    source = tmp_path / "no_locale.c"
    source.write_text(
        "#include <locale.h>\n"
        "locale_t no_locale(int mask, const char *name, locale_t base) {\n"
        "    return (void)mask, (void)name, (void)base, (locale_t)0;\n"
        "}\n"
    )
    build.compile_library(other, build.compiler(), ("-Dnewlocale=no_locale", str(source)))
    path = tmp_path / "day.json"
    path.write_bytes(text_of(',"zero_gamma":1.5', ',"zero_gamma":123456789.0123456789'))
    stream = pa.RecordBatchReader.from_stream(StagedTable(source_of(path), path, rows=False, batch_rows=1))
    assert stream.read_next_batch()["zero_gamma"].to_pylist() == [1.5]
    with pytest.raises((pa.ArrowException, MemoryError), match="it cannot be read: Cannot allocate memory"):
        stream.read_next_batch()
